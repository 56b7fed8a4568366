/* The chat template of a checkpoint. Triad renders conversations by its own table of turns and
 * never runs a template; but it reads the text, to say whether the two agree: templates are known
 * by fingerprints of their lines (chat_template_lines.inc; chat_template_ours.inc for those that
 * Triad writes). */
#ifndef TRIAD_CHAT_TEMPLATE_H
#define TRIAD_CHAT_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "err.h"

/* The template of a folder, into `arena`; `*text_out` NULL when it has none. Looked for in
 * chat_template.jinja, in tokenizer_config.json (a text, or a list with one called "default") and
 * in chat_template.json. */
NODISCARD enum err_code chat_template_read(const char *folder, struct arena *arena,
                                           const char **text_out, struct err *err);
/* The template in the text of a tokenizer_config.json or chat_template.json. ERR_CORRUPT or
 * ERR_INVALID names `source`. */
NODISCARD enum err_code chat_template_of_config(const char *json, size_t len, const char *source,
                                                struct arena *arena, const char **text_out,
                                                struct err *err);

/* What a template is, or is nearest to. Texts of known templates are static, `line` is borrowed
 * from the text that was asked about. */
struct chat_template_match {
    const char *label; /* "Llama 3.1"; NULL when no line is known */
    const char *style; /* turns that go with it: "llama3.1" */
    bool is_known;     /* all lines are those of that template, in order */
    int extra_lines;   /* lines that the known one has not */
    int missing_lines; /* and the reverse */
    int line_number;   /* of the first extra line, 1-based; 0 when there is none */
    const char *line;  /* its text, */
    size_t line_len;   /* without white space around it */
};

struct chat_template_match chat_template_compare(const char *text);
/* One sentence for people about a template in a checkpoint whose turns are written in `style`: NULL
 * when there is nothing to warn of. `text` may be NULL. */
const char *chat_template_warning(const char *text, const char *style, struct arena *arena);

#endif
