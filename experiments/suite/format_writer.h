/* A sequence being written, for the files of format.h. Plain text without loss is collected until
 * something else comes, so that neighbouring pieces become one segment. */
#ifndef TRIAD_FORMAT_WRITER_H
#define TRIAD_FORMAT_WRITER_H

#include "format.h"
#include "str.h"

struct writer {
    const struct turn_style *style;
    struct arena *arena;
    struct segment *segments;
    uint32_t count, cap;
    struct strbuf text; /* collected */
    int32_t example;    /* of what is collected */
};

/* Text without loss. */
void writer_text(struct writer *w, int32_t example, const char *text);
void writer_special(struct writer *w, enum segment_loss loss, int32_t example, const char *token);
/* Text with its own loss mark: always its own segment. */
void writer_scored(struct writer *w, enum segment_loss loss, int32_t example, const char *text);
/* What opens a turn, and what ends it. */
void writer_open_turn(struct writer *w, int32_t example, const char *role);
void writer_end_turn(struct writer *w, enum segment_loss loss, int32_t example);

/* Hand over the sequence. Text behind the last terminator is dropped, unless `is_prompt`: then it
 * is what the model must continue. */
void writer_finish(struct writer *w, bool is_prompt, struct sequence *out);

/* `text` without white space around it, as Python's str.strip() sees it; borrowed, or in `arena`.
 */
const char *format_trimmed(struct arena *arena, const char *text);

/* The conversation of an instance (docs/science.md section 2), for format_render() and
 * format_prompt(); `open`: it asks for one more output. */
void chat_instance(struct writer *w, const struct format_options *options,
                   const struct instance *instance, uint32_t count, bool open);

#endif
