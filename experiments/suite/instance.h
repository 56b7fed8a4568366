/* A sequence before it has a format: what a task hands over and a format renders
 * (docs/science.md section 1). All texts are UTF-8 and belong to the arena they were made in.
 */
#ifndef TRIAD_INSTANCE_H
#define TRIAD_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>

struct example {
    const char *input; /* NULL when the task has no inputs */
    const char *output;
};

struct instance {
    const char *id;          /* "flight/17": task and number of the sequence in it */
    const char *description; /* NULL when it was dropped */
    struct example *examples;
    uint32_t example_count;
    /* The most likely output for examples[0], as text; NULL when the description does not determine
     * one. */
    const char *mode;
    /* Answers to choose from for the last example, and how probable each is; count 0 where the task
     * names none, target NULL where it says nothing of their probabilities. */
    const char **candidates;
    double *target;
    uint32_t candidate_count;
};

#endif
