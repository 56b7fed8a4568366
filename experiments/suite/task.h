/* A task: where its sequences come from, and what is known about them. One YAML file per task in
 * suite/tasks/; the name of the file is the name of the task. */
#ifndef TRIAD_TASK_H
#define TRIAD_TASK_H

#include <stdint.h>

#include "fields.h"
#include "generator.h"
#include "reader.h"

enum task_split { TASK_TRAIN, TASK_TEST };
enum task_type { TASK_MULTIPLE_CHOICE, TASK_FREE_TEXT, TASK_NUMERIC };
enum length_kind {
    LENGTH_FIXED, /* every sequence has `examples` examples */
    LENGTH_GP,    /* GP(examples), docs/science.md section 1 */
};
enum table_shape {
    TABLE_WIDE, /* a row per person, a column per item */
    TABLE_LONG, /* a row per answer, columns for person, item and answer */
};

struct task_item {
    const char *code;    /* as in the table */
    const char *wording; /* as shown to a model */
};

/* A table of people's answers. */
struct task_table {
    const char *file;                   /* in data/ */
    const char *digest;                 /* what `b2sum -l 256` must say of the file */
    int shape;                          /* enum table_shape */
    const char *person, *item, *answer; /* columns, for TABLE_LONG */
    struct task_item *items;
    size_t item_count;
    struct task_item *answers; /* empty: as in the table */
    size_t answer_count;
};

/* Who answered what: the table, resolved. */
struct person {
    struct example *answers;
    uint32_t answer_count;
};

struct task {
    struct yaml_doc doc; /* owns the texts */
    const char *name;
    int split, type; /* enum task_split, enum task_type */
    struct field_texts suites;
    struct field_texts descriptions;
    const char *source; /* id of what the data come from: no source is on both sides */
    const char *origin, *licence;
    int64_t examples;                  /* length of a sequence */
    int64_t sequences;                 /* at most so many for evaluation */
    int length;                        /* enum length_kind */
    const struct generator *generator; /* or NULL, and then: */
    struct task_table table;
    struct arena data; /* owns people */
    struct person *people;
    size_t person_count;
    bool loaded;
};

/* Parse a task file. Errors name file, line and column. Free with task_release(). */
NODISCARD enum err_code task_parse(const char *bytes, size_t len, const char *path,
                                   struct task *out, struct err *err);
void task_release(struct task *task);

/* Read and check the table of a task that has one (once; the second call does nothing). `folder` is
 * data/. ERR_CORRUPT when the file is not the one the task names. */
NODISCARD enum err_code task_load_table(struct task *task, const struct reader *reader,
                                        const char *folder, struct err *err);

bool task_in_suite(const struct task *task, const char *suite);

/* How many different sequences the task can give: its people, or UINT32_MAX for a generator. */
uint32_t task_supply(const struct task *task);

/* What to make of a task. */
struct instance_options {
    struct rng root;         /* sequence i draws from the child ("sequence", i) only */
    double keep_description; /* probability, drawn independently per sequence */
    uint32_t examples_max;   /* 0: no bound */
    uint32_t examples_mean;  /* length GP(this) instead of the task's; 0: as the task says */
};

/* Make sequence `index` of the task, its table loaded. Tables give people in a seeded order, one
 * each; index must be below task_supply(). */
void task_instance(const struct task *task, const struct instance_options *options, uint32_t index,
                   struct arena *arena, struct instance *out);

#endif
