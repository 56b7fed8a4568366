/* Neutral layouts: how sequences of training tasks are written out as plain pretraining text, so
 * that a pretrained model meets patterns of repetition in many dresses, the colon format's among
 * them. None of them uses special tokens. */
#ifndef TRIAD_LAYOUT_H
#define TRIAD_LAYOUT_H

#include "instance.h"
#include "str.h"

enum layout {
    LAYOUT_COLON,     /* exactly the text of the colon format */
    LAYOUT_LABELS,    /* description: … / input: … / output: …, a line each */
    LAYOUT_LINES,     /* an output per line, inputs before it */
    LAYOUT_COMMAS,    /* a, b, c */
    LAYOUT_ARROWS,    /* input -> output */
    LAYOUT_QUESTIONS, /* Q: … A: … */
    LAYOUT_NUMBERED,  /* 1. a */
    LAYOUT_COUNT,
};

/* For choices in mix files; ended by NULL. */
const char *const *layout_names(void);
/* Append the instance in a layout. */
void layout_render(enum layout layout, const struct instance *instance, struct strbuf *out);

#endif
