/* Numbered footnotes; equal texts share a number. */
#ifndef TRIAD_FOOTNOTES_H
#define TRIAD_FOOTNOTES_H

#include <stddef.h>

#include "arena.h"

struct footnote {
    const char *text;
    struct footnote *next;
};

struct footnotes {
    struct footnote *first;
};

/* The number (from 1) of a footnote with this text, which is copied when it is new. */
size_t footnote_number(struct footnotes *notes, const char *text, struct arena *arena);

#endif
