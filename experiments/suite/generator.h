/* Synthetic tasks: each draws the parameters of one sequence from its prior, then the sequence
 * (docs/science.md section 5). One table; a task file names its row. */
#ifndef TRIAD_GENERATOR_H
#define TRIAD_GENERATOR_H

#include <stddef.h>

#include "arena.h"
#include "dice.h"
#include "instance.h"
#include "table_db.h"

enum { GENERATOR_FIELDS_MAX = 8, GENERATOR_COLUMNS_MAX = 16 };

/* One drawn sequence. */
struct drawn {
    const char *values[GENERATOR_FIELDS_MAX]; /* of the template fields, in the row's order; NULL:
                                                 descriptions that mention it do not apply */
    const char *mode; /* most likely output for the first example, or NULL */
    /* What can come out and how probable each is, where a description tells; else count 0. */
    const char **candidates;
    double *target;
    uint32_t candidate_count;
};

/* What a generator draws with. */
struct drawing {
    struct dice *dice;
    struct arena *arena;
    const struct row_set *rows; /* for generators over rows, with the columns they name */
    struct example *examples;
    size_t count; /* wanted; a generator that has fewer makes it less */
};

struct generator {
    const char *name;
    /* What a description may mention as {field}; ended by NULL. */
    const char *fields[GENERATOR_FIELDS_MAX + 1];
    /* Those of them that let a reader of the description name the most likely output, any one of
     * them; ended by NULL. */
    const char *telling[GENERATOR_FIELDS_MAX + 1];
    /* Fill the examples and the values, drawing from the dice only. */
    void (*draw)(struct drawing *d, struct drawn *out);
    /* Columns of the rows it draws from, ended by NULL; none: it needs no data. */
    const char *columns[GENERATOR_COLUMNS_MAX + 1];
    const char *group; /* column that groups them, or NULL */
};

/* The row with this name, or NULL. */
const struct generator *generator_find(const char *name);
/* The names of all rows, for messages, in `arena`; `*count_out` of them. */
const char **generator_names(struct arena *arena, size_t *count_out);

/* The samplers, one per row. */
typedef void generator_draw(struct drawing *d, struct drawn *out);
/* generator_counts.c */
generator_draw generate_coinflip, generate_categorical, generate_binomial, generate_poisson,
    generate_normal, generate_multinomial, generate_geometric, generate_negative_binomial,
    generate_hypergeometric, generate_zipfian;
/* generator_worlds.c */
generator_draw generate_flight, generate_flight_compact, generate_urn, generate_urn_open,
    generate_states, generate_cards;
/* generator_people.c */
generator_draw generate_judges, generate_names, generate_raters, generate_rules;

/* A count as text. */
const char *generator_count_text(struct arena *arena, uint64_t value);

#endif
