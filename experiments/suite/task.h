/* A task: where its sequences come from, and what is known about them. One YAML file per task in
 * suite/tasks/; the name of the file is the name of the task. docs/adding-a-task.md describes the
 * keys. */
#ifndef TRIAD_TASK_H
#define TRIAD_TASK_H

#include <stdint.h>

#include "fields.h"
#include "generator.h"
#include "reader.h"
#include "source.h"
#include "table_db.h"

enum task_split { TASK_TRAIN, TASK_TEST };
enum task_type { TASK_MULTIPLE_CHOICE, TASK_FREE_TEXT, TASK_NUMERIC };
enum length_kind {
    LENGTH_ALL,   /* all examples there are */
    LENGTH_FIXED, /* `examples` */
    LENGTH_GP,    /* GP(examples), docs/science.md section 1 */
};

/* A table that rows are made of: read from files, or written into the task file. */
struct task_table {
    const struct yaml_node *node;
    struct field_texts files; /* globs below the source's folder, or an absolute path */
    struct table_import import;
    bool optional;             /* empty when there is no such file */
    struct table_item *values; /* of a table written here */
    size_t value_count;
};

/* A field of the rows that becomes input or output. */
struct task_field {
    const char *name;
    bool optional; /* written "name?": left out of the JSON object where it is missing */
};
struct task_fields {
    struct task_field *items;
    size_t count;
};

/* A template field whose value is a JSON array: each element is kept with this probability, drawn
 * per sequence. */
struct task_fragment {
    const char *field;
    double keep;
};

/* One sequence to come: rows of a group. Chunks know which; repeats draw anew. */
struct task_sequence {
    uint32_t group, repeat;
    uint32_t first, count; /* of the group's order, for chunks; count 0 for repeats */
};

/* What sequences are made of. Most tasks have one part; others have several that differ in rows,
 * fields and descriptions. */
struct task_part {
    const struct yaml_node *node;
    const char *rows;  /* SQL; NULL: the only table as it is */
    const char *group; /* column; NULL: all rows are one group */
    struct task_fields input, output;
    struct field_texts descriptions;
    struct task_fragment *fragments;
    size_t fragment_count;
    /* Answers to choose from: fixed, or per row as a JSON array; and how probable each is. */
    struct field_texts candidates;
    const char *candidates_from, *target_from;
    int64_t per_group;    /* sequences per group; 0: all examples, cut into chunks */
    int length;           /* enum length_kind */
    int64_t examples;     /* for LENGTH_FIXED and LENGTH_GP */
    int64_t examples_min; /* shorter groups and chunks are left out */
    int64_t groups;       /* at most so many, the first; 0: no limit */
    int64_t sequences;    /* at most so many, drawn at random; permutations not counted */
    int64_t permutations; /* differently ordered copies of each */
    /* After task_load(): */
    const char **columns; /* of the row set, those needed first */
    size_t column_count;
    struct row_set set;
    struct task_sequence *plan;
    uint32_t plan_count;
};

struct task {
    struct yaml_doc doc; /* owns the texts */
    const char *name;
    int split, type; /* enum task_split, enum task_type */
    struct field_texts suites;
    const char *source; /* id of what the data come from: no source is on both sides */
    const char *origin, *licence, *notes;
    const char
        *answer_label; /* what the answer is called where "Output" says too little; or NULL */
    int64_t seed;
    const struct generator *generator; /* or NULL */
    struct task_table *tables;
    size_t table_count;
    struct table_limits limits; /* of what its queries take */
    struct task_part *parts;    /* at least one; of generators exactly one */
    size_t part_count;
    /* Settings that the evaluation of that kind reads itself; NULL when absent. */
    const struct yaml_node *alignment, *coverage;
    struct table_db *db;
    struct arena data; /* owns plans */
    bool loaded;
};

/* Parse a task file. Errors name file, line and column. Free with task_release(). */
NODISCARD enum err_code task_parse(const char *bytes, size_t len, const char *path,
                                   struct task *out, struct err *err);
void task_release(struct task *task);

/* Read what the task's tables need and plan its sequences (once; the second call does nothing).
 * `folder` is where the source's files lie, `source` what is known of it (may be NULL).
 * ERR_NOT_FOUND when files are missing, ERR_CORRUPT when one is not the file the source names. */
NODISCARD enum err_code task_load(struct task *task, const struct reader *reader,
                                  const char *folder, const struct source *source, struct err *err);
/* The files of a table pattern that are there, sorted, in `arena`; ERR_NOT_FOUND when none is. */
NODISCARD enum err_code task_find_files(const struct task *task, const struct task_table *table,
                                        const struct reader *reader, const char *folder,
                                        struct arena *arena, struct table_file **files_out,
                                        size_t *count_out, struct err *err);

bool task_in_suite(const struct task *task, const char *suite);

/* How many different sequences the loaded task can give; UINT32_MAX for a generator. */
uint32_t task_supply(const struct task *task);
/* At most so many are used for evaluation. */
int64_t task_sequences_max(const struct task *task);
/* Rows left out because something needed was missing. */
uint64_t task_left_out(const struct task *task);

/* What to make of a task. */
struct instance_options {
    struct rng root;         /* sequence i draws from the child ("sequence", i) only */
    double keep_description; /* probability, drawn independently per sequence */
    uint32_t examples_max;   /* 0: no bound */
    uint32_t examples_mean;  /* length GP(this) instead of the task's; 0: as the task says */
    bool want_mode;          /* find the most likely first output */
};

/* Make sequence `index` of the loaded task; index must be below task_supply(). Sequences come in an
 * order that the root stream decides. */
void task_instance(const struct task *task, const struct instance_options *options, uint32_t index,
                   struct arena *arena, struct instance *out);

/* ---- Shared by the task's files ---- */

/* The mapping of tables (task_tables.c). */
NODISCARD enum err_code task_read_tables(struct yaml_doc *doc, const struct yaml_node *node,
                                         struct task *task, struct err *err);

/* The names of template fields in a text, one after another: false when there is none left.
 * "{{" and "}}" stand for braces. `*at` moves on. */
bool task_next_field(const char **at, struct str *name_out);
/* Sequences of a part, permutations counted. */
uint64_t task_part_supply(const struct task_part *part);
/* Index of a column in the part's row set; it must be there. */
size_t task_column(const struct task_part *part, const char *name);

#endif
