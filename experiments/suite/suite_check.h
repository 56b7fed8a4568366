/* What can be wrong with tasks although their files are well-formed: found by making sequences and
 * looking at them. */
#ifndef TRIAD_SUITE_CHECK_H
#define TRIAD_SUITE_CHECK_H

#include "suite.h"

enum finding_kind {
    FINDING_PLACEHOLDER,    /* a description with a field that was not filled */
    FINDING_NO_DESCRIPTION, /* a sequence to which no description applies */
    FINDING_DUPLICATE,      /* sequences with the same texts in the same order */
    FINDING_DEGENERATE,     /* draws that do not differ between sequences, or one single output */
    FINDING_EMPTY,          /* most groups or rows give nothing */
    FINDING_CANDIDATE,      /* an output that is not among the candidates */
    FINDING_OVERLAP,        /* examples of a training task that nearly are those of a test task */
};

struct finding {
    enum finding_kind kind;
    const char *task;
    const char *text;
};

struct suite_check {
    struct arena arena;
    uint32_t sequences;    /* to look at, for each task */
    struct finding *items; /* what was found */
    size_t count, cap;
    struct shingle_set *test; /* of all test tasks looked at */
    size_t examples_looked_at;
};

/* "placeholder", "duplicate", … */
const char *finding_name(enum finding_kind kind);

/* Start with at most `sequences` sequences of each task. Free with suite_check_release(). */
struct suite_check suite_check_start(uint32_t sequences);
void suite_check_release(struct suite_check *check);

/* Look at one loaded task. */
void suite_check_task(struct suite_check *check, const struct task *task);
/* After all test tasks were looked at: compare a loaded training task with them. Texts count as
 * near when four fifths of their runs of eight words are known from test tasks. */
void suite_check_overlap(struct suite_check *check, const struct task *task);

#endif
