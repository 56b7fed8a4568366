/* The inside of the planner, shared by its files: plan.c (order of work, filters), plan_family.c
 * (tokenizers and models), plan_data.c (training data), plan_task.c (evaluation data and k),
 * plan_cost.c (estimates), plan_proof.c (held-out sources). */
#ifndef TRIAD_PLAN_IMPL_H
#define TRIAD_PLAN_IMPL_H

#include "mix_stream.h"
#include "plan.h"
#include "select.h"
#include "suite.h"

#define NO_JOB SIZE_MAX

/* A family while its jobs are being planned. */
struct family_plan {
    struct planner *planner;
    const struct manifest_family *family;
    struct plan_tokenizer *tokenizer;
    struct token_counter counter; /* on that tokenizer */
    struct plan_model model;
    int missing_tokens;           /* of its turns, in a checkpoint's tokenizer */
    struct digest tokenizer_blob; /* none when the tokenizer comes with a checkpoint */
    bool *needed;                 /* [variant * seeds + seed]: some kept cell needs this model */
    size_t *model_job;            /* the same; NO_JOB while not planned */
    const char **model_waits;     /* the same: for what, when it cannot be planned */
};

/* A task of a suite entry, matched. */
struct entry_task {
    const struct manifest_suite *entry;
    struct task *task;
};

struct planner {
    struct manifest *manifest;
    const struct plan_env *env;
    struct plan *plan;
    struct suite suite;
    struct entry_task *entry_tasks;
    size_t entry_task_count;
    size_t job_cap, blob_cap, task_cap, cell_cap, data_cap, checkpoint_cap, validator_cap,
        missing_cap, outline_cap, note_cap, warning_cap;
};

/* Room for one more element: returns the (possibly moved) array. */
void *plan_grow(struct arena *arena, void *items, size_t count, size_t *cap, size_t element_bytes);
/* Append a note or warning once; the text is formatted into the arena. */
void plan_note(struct planner *p, const char *format, ...) PRINTF(2, 3);
void plan_warn(struct planner *p, const char *format, ...) PRINTF(2, 3);

/* Take over malloc()ed bytes as a blob, unless the plan has it already. */
struct digest plan_add_blob(struct planner *p, char *data, size_t len, const char *what);
void plan_add_file(struct planner *p, struct digest digest, int64_t bytes, const char *path,
                   const char *what);
/* Append a job whose spec is `spec` (identity and spec are filled in here); when the plan has a job
 * with the same identity, that one's index is returned instead. */
size_t plan_add_job(struct planner *p, const struct jobspec *spec, struct plan_job job);

/* Open the tokenizer of a variant's checkpoint, and see what its model is. */
NODISCARD enum err_code plan_checkpoint_open(struct planner *p, const struct manifest_variant *v,
                                             struct plan_tokenizer **tokenizer_out,
                                             struct plan_model *model_out, struct err *err);
/* Choose the family's turns after its checkpoints unless the manifest did, and warn of templates
 * that differ. */
NODISCARD enum err_code plan_family_turns(struct planner *p, struct manifest_family *family,
                                          struct err *err);
/* The tree of a variant's checkpoint as a blob, its files among the blobs; noted in the plan. */
NODISCARD enum err_code plan_checkpoint_tree(struct planner *p,
                                             const struct manifest_family *family,
                                             const struct manifest_variant *v, struct digest *out,
                                             struct err *err);

/* Open the family's tokenizer and find out what its models look like. */
NODISCARD enum err_code plan_family_open(struct planner *p, struct family_plan *f, struct err *err);
void plan_family_close(struct family_plan *f);
/* Plan the job that makes a variant's model with a seed, and those it needs before it. */
NODISCARD enum err_code plan_model_job(struct family_plan *f, size_t variant, size_t seed,
                                       size_t *job_out, struct err *err);

/* The checkpoint variant that the family's tokenizer was taken from; NULL when it was built. */
const struct manifest_variant *plan_tokenizer_variant(const struct family_plan *f);
/* Note which rows a variant takes over from embeddings_from. ERR_INVALID, with the place in the
 * manifest, when the model to copy from has no such token. */
NODISCARD enum err_code plan_embeddings(struct family_plan *f, const struct manifest_variant *v,
                                        const char *const *tokens, size_t count, struct err *err);

/* Training data of a variant as a blob; what it holds is described in `data`, whose label is set.
 */
NODISCARD enum err_code plan_training_data(struct family_plan *f,
                                           const struct manifest_variant *variant, uint64_t seed,
                                           struct plan_data *data, struct digest *blob_out,
                                           struct err *err);
/* Texts of the family's pretraining mix, for its tokenizer: about a megabyte, in the arena. */
NODISCARD enum err_code plan_tokenizer_texts(struct family_plan *f,
                                             const struct manifest_variant *variant,
                                             struct arena *arena, struct str **texts_out,
                                             size_t *count_out, struct err *err);

/* Match the entries' globs; every task once per suite. */
NODISCARD enum err_code plan_match_tasks(struct planner *p, struct err *err);
/* Does the manifest keep this cell (include and exclude)? */
bool plan_keeps(const struct manifest *manifest, const char *family, const char *variant,
                const char *task, uint64_t seed);
/* Does every value of `include` and `exclude` name something of the manifest? */
NODISCARD enum err_code plan_check_filters(const struct planner *p, struct err *err);
/* What one variant is evaluated on, for plan_add_cell(). */
struct cell_data {
    struct family_plan *f;
    const struct entry_task *et;
    const struct plan_task *task;
    struct manifest_evaluate settings;
    enum record_kind kind;
    enum format format;
    struct digest blob;    /* the data set */
    uint32_t sequences;    /* in it */
    const int64_t *items;  /* records of each sequence */
    const int64_t *tokens; /* of each sequence, all that follows a prompt included */
    int64_t tokens_max;    /* at once: a sequence, or a prompt with its longest continuation */
    uint32_t last_position;
    const struct plan_setting *settings_of; /* samples: of each sequence; in the plan's arena */
};

/* Add the cell of a variant and seed, and its jobs: shares of the data set, so that a long
 * evaluation can be done by several workers and loses little when one dies. */
void plan_add_cell(const struct cell_data *data, size_t variant, size_t seed);
/* Append the task to the plan's; sizes and pairing are the caller's to fill in. */
struct plan_task *plan_new_task(struct family_plan *f, const struct entry_task *et);

/* What is missing, with missing_ok (plan_missing.c). Each counts as an error of the given code
 * elsewhere: true when it may be left out, and was noted. */
bool plan_may_lack(const struct planner *p, enum err_code code);
/* The cell of a variant and seed waits. */
void plan_add_outline(struct family_plan *f, const struct entry_task *et, size_t variant,
                      size_t seed, const char *waits);
/* None of a family's checkpoints can be looked into: outline everything it would do. */
void plan_outline_family(struct family_plan *f, const struct err *why);
/* Note which checkpoints and data a variant's model lacks; returns the first of them. */
const char *plan_model_lacks(struct family_plan *f, const struct manifest_variant *v,
                             const struct err *why);
/* Outline all cells of a task whose data are not here. False when they are. */
bool plan_outline_task(struct family_plan *f, const struct entry_task *et);

/* Plan the evaluation of one task by all variants and seeds of a family, as the suite demands:
 * plan_task.c scores answers, plan_choices.c candidates, plan_samples.c draws texts. */
NODISCARD enum err_code plan_choices(struct family_plan *f, const struct entry_task *et,
                                     struct err *err);
NODISCARD enum err_code plan_samples(struct family_plan *f, const struct entry_task *et,
                                     struct err *err);
NODISCARD enum err_code plan_scores(struct family_plan *f, const struct entry_task *et,
                                    struct err *err);
/* By the kind of the entry's suite (plan_cells.c). */
NODISCARD enum err_code plan_evaluation(struct family_plan *f, const struct entry_task *et,
                                        struct err *err);

/* A training job's settings in a line. */
const char *plan_describe_training(struct arena *arena, const struct manifest_variant *v,
                                   const struct jobspec_train *t);

/* No source of a test task or an evaluated one may be trained on: collect them, and check. */
void plan_collect_held_out(struct planner *p);
NODISCARD enum err_code plan_check_sources(struct planner *p,
                                           const struct manifest_variant *variant,
                                           const struct plan_data *data, struct err *err);
/* Add an id to a sorted set. */
void plan_add_source(struct arena *arena, const char ***sources, size_t *count, const char *source);

/* Estimates. */
int64_t plan_parameters(const struct plan_model *model);
void plan_cost_training(const struct planner *p, const struct plan_model *model,
                        const struct jobspec_train *train, struct plan_job *job);
/* Memory of a training job, as its `recompute` and the manifest's resources have it; `data->memory`
 * says what for. ERR_INVALID, with the place in the manifest, when the memory given cannot do. */
NODISCARD enum err_code
plan_memory_training(const struct planner *p, const struct plan_model *model,
                     const struct manifest_stage *stage, const struct jobspec_train *train,
                     struct plan_job *job, struct plan_data *data, struct err *err);
void plan_cost_evaluation(const struct planner *p, const struct plan_model *model,
                          int64_t tokens_max, struct plan_job *job);

#endif
