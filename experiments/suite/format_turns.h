/* How each family of models spells turns: one row of one table per family. Adding a family is
 * adding a row (docs/adding-a-family.md). */
#ifndef TRIAD_FORMAT_TURNS_H
#define TRIAD_FORMAT_TURNS_H

#include <stdbool.h>
#include <stddef.h>

/* Texts are plain text unless they are called a special token. */
struct turn_style {
    const char *name;
    const char *bos;        /* special token at the start of a sequence; NULL: none */
    const char *eos;        /* special token that ends a pretraining document; NULL: none */
    const char *open;       /* special token before the role */
    const char *close;      /* special token after the role; NULL: none */
    const char *break_text; /* between header and content */
    const char *end;        /* special token after the content: the terminator */
    const char *after_text; /* after it; "" for none */
    const char *assistant;  /* how chat calls the model's role */
    /* chat: special tokens around an empty thought that begins every turn of the assistant (and
     * what surrounds them), so that the model answers without thinking; NULL: none */
    const char *think_open, *think_close;
    /* chat: what the template puts in front of the system text, on its own when there is none; NULL
     * for nothing */
    const char *preamble;
    bool has_system; /* chat has a system role; otherwise its text opens the first user turn */
    bool trims;      /* chat: white space around contents is dropped (the system text of a style
                      * without a system role is not) */
};

/* The row with this name, or NULL. Names for messages: turn_style_names(), ended by NULL. */
const struct turn_style *turn_style_find(const char *name);
const char *const *turn_style_names(void);

/* The row for models whose config.json has this model_type, or NULL. */
const struct turn_style *turn_style_for_model(const char *model_type);

/* The special tokens a style needs in the tokenizer, in a fixed order: bos, eos, those of a
 * thought, and the turn tokens from `turn_first` on. `out` holds TURN_TOKENS_MAX texts. Returns
 * their count. */
enum { TURN_TOKENS_MAX = 7 };
size_t turn_style_tokens(const struct turn_style *style, const char *out[TURN_TOKENS_MAX],
                         size_t *turn_first);

#endif
