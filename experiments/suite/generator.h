/* Synthetic tasks: each draws the parameters of one sequence from its prior, then the sequence
 * (docs/science.md section 5). One table; a task file names its row. */
#ifndef TRIAD_GENERATOR_H
#define TRIAD_GENERATOR_H

#include <stddef.h>

#include "arena.h"
#include "instance.h"
#include "dice.h"

enum { GENERATOR_FIELDS_MAX = 8 };

/* One drawn sequence. */
struct drawn {
    const char *values[GENERATOR_FIELDS_MAX]; /* of the template fields, in the row's order */
    const char *mode; /* most likely output for the first example, or NULL */
};

struct generator {
    const char *name;
    /* What a description may mention as {field}; ended by NULL. */
    const char *fields[GENERATOR_FIELDS_MAX + 1];
    /* Those of them that let a reader of the description name the most likely output, any one of
     * them; ended by NULL. */
    const char *telling[GENERATOR_FIELDS_MAX + 1];
    /* Fill `count` examples and the values, drawing from `s` only. */
    void (*draw)(struct dice *s, struct arena *arena, struct example *examples, size_t count,
                 struct drawn *out);
};

/* The row with this name, or NULL. */
const struct generator *generator_find(const char *name);
/* The names of all rows, for messages; ended by NULL. */
const char *const *generator_names(void);

/* The samplers, one per row (generator_counts.c, generator_worlds.c). */
typedef void generator_draw(struct dice *s, struct arena *arena, struct example *examples,
                            size_t count, struct drawn *out);
generator_draw generate_coinflip, generate_categorical, generate_binomial, generate_poisson,
    generate_normal, generate_flight, generate_urn;

#endif
