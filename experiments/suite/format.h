/* The three prompt formats, from instances to dataset segments with their loss marks
 * (docs/science.md section 2).
 *
 *   spectrum  every message is a turn headed by its role; loss on output content and turn end;
 *             without a description the first output is not scored (its turn end is, unless
 *             first_terminator says otherwise)
 *   colon     "Description: …", "Input: …", "Output: …" between blank lines; loss on a space with
 *             the content, and on the blank line
 *   chat      a system turn with our instruction and the description, inputs as user turns, outputs
 *             as assistant turns; loss on assistant content and turn end
 *
 * Every piece with its own loss mark is its own segment, so token edges are the same whatever
 * surrounds it. All formats are prefix-stable: rendering fewer examples gives a prefix. */
#ifndef TRIAD_FORMAT_H
#define TRIAD_FORMAT_H

#include "arena.h"
#include "dataset.h"
#include "instance.h"

enum format { FORMAT_SPECTRUM, FORMAT_COLON, FORMAT_CHAT, FORMAT_COUNT };

const char *format_name(enum format format);
/* For choices in manifests; ended by NULL. */
const char *const *format_names(void);

/* How a family spells its turns: a row of one table. */
struct turn_style {
    const char *name;
    const char *bos;        /* special token at the start of a sequence; NULL: none */
    const char *eos;        /* special token that ends a pretraining document; NULL: none */
    const char *open;       /* special token before the role */
    const char *close;      /* special token after the role; NULL: none */
    const char *break_text; /* plain text between header and content */
    const char *end;        /* special token after the content: the terminator */
    const char *after_text; /* plain text after it; "" for none */
    const char *assistant;  /* how chat calls the model's role */
    bool has_system; /* chat has a system role; otherwise its text opens the first user turn */
};

/* The row with this name, or NULL. Names for messages: turn_style_names(), ended by NULL. */
const struct turn_style *turn_style_find(const char *name);
const char *const *turn_style_names(void);
/* The special tokens a style needs in the tokenizer, in a fixed order: bos, eos, and the turn
 * tokens from `turn_first` on. `out` holds TURN_TOKENS_MAX texts. Returns their count. */
enum { TURN_TOKENS_MAX = 5 };
size_t turn_style_tokens(const struct turn_style *style, const char *out[TURN_TOKENS_MAX],
                         size_t *turn_first);

struct format_options {
    enum format format;
    const struct turn_style *style;
    /* spectrum without a description: keep the loss on the first output's turn end, as the paper's
     * algorithm does (true), or mask it too, as its code does. */
    bool first_terminator;
};

/* Render the first `example_count` examples (at most the instance's) into one sequence in `arena`.
 * The texts borrow from the instance. The last segment is the last terminator. */
void format_render(const struct format_options *options, const struct instance *instance,
                   uint32_t example_count, struct arena *arena, struct sequence *out);

/* How many (sequence, example) pairs have a loss: the records that evaluating it gives. */
uint32_t format_item_count(const struct sequence *sequence);

#endif
