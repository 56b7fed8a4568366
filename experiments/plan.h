/* From a manifest to every job of its grid, resolved: data sets built, k chosen, identities known,
 * costs estimated, and the proof that no held-out source is trained on. Pure: what the world has to
 * give comes in through struct plan_env. */
#ifndef TRIAD_PLAN_H
#define TRIAD_PLAN_H

#include "manifest.h"
#include "reader.h"
#include "validator.h"

/* Tokenizers belong to the environment (worker/lm implements them). */
struct plan_tokenizer;

/* What the planner must know of a model that was trained elsewhere. */
struct plan_model {
    int64_t layers, width, heads, kv_heads, head_dim, mlp, context, vocabulary;
    bool tied;
    const char *kind; /* "llama": its family, as in manifests */
};

/* What a micro-batch of a training holds at most, and how many shards of a step a process computes.
 */
struct plan_batch {
    int64_t sequences, tokens, sequence_tokens, shards;
};

/* What the planner must know of a checkpoint's way to chat. */
struct plan_chat {
    const char *turns;   /* a turn style's name; NULL when there is none for such a model */
    bool from_template;  /* the checkpoint's own template says so; else its kind of model */
    const char *warning; /* when its template is not what was asked about; else NULL */
};

struct plan_env {
    void *ctx;
    struct reader reader;
    const char *root; /* the folder with suite/, mixes/ and data/ */
    const char *data; /* the folder with a folder per source; NULL: none */
    int64_t numerics_version;
    double flops_per_thread_s; /* for estimates; 0: what plan_cost.c says */
    /* Bytes that training takes, with activations computed twice or not, and what for in a line
     * for people (`text` may be NULL). The member may be NULL: plan_cost.c estimates. */
    int64_t (*training_memory)(void *ctx, const struct plan_model *model,
                               const struct jobspec_train *train, const struct plan_batch *batch,
                               bool again, struct strbuf *text);
    bool missing_ok; /* checkpoints and data that are not here are listed, not an error */

    /* Learn a byte-level BPE from texts and append its tokenizer.json; `specials` end up last, in
     * order. Equal texts must give equal bytes. */
    enum err_code (*tokenizer_train)(void *ctx, const struct str *texts, size_t count,
                                     int64_t vocabulary, const char *const *specials,
                                     size_t special_count, struct strbuf *json_out,
                                     struct err *err);
    /* Open the text of a tokenizer.json; `name` is for messages. */
    enum err_code (*tokenizer_open)(void *ctx, const char *json, size_t len, const char *name,
                                    struct plan_tokenizer **out, struct err *err);
    /* Open the tokenizer of a checkpoint and say what the model is. CHECKPOINT_HUGGINGFACE: `path`
     * is a folder; CHECKPOINT_LLAMA2C: `path` is the weights, `tokenizer_path` the tokenizer. */
    enum err_code (*checkpoint_open)(void *ctx, enum checkpoint_layout layout, const char *path,
                                     const char *tokenizer_path, struct plan_tokenizer **out,
                                     struct plan_model *model_out, struct err *err);
    /* Find what "hf:ORG/NAME@REVISION" is on this machine: its folder and its commit. */
    enum err_code (*checkpoint_find)(void *ctx, const char *reference, struct arena *arena,
                                     const char **folder_out, const char **commit_out,
                                     struct err *err);
    /* Names of the model's files in a Hugging Face folder, sorted bytewise. */
    enum err_code (*checkpoint_files)(void *ctx, const char *folder, struct arena *arena,
                                      const char ***names_out, size_t *count_out, struct err *err);
    /* How a Hugging Face folder's model chats, and how that fits the style `turns` (NULL: no
     * question). */
    enum err_code (*checkpoint_chat)(void *ctx, const char *folder, const char *turns,
                                     struct arena *arena, struct plan_chat *out, struct err *err);
    /* Tokens of plain text. */
    enum err_code (*tokenizer_count)(void *ctx, struct plan_tokenizer *tokenizer, struct str text,
                                     size_t *count_out, struct err *err);
    int64_t (*tokenizer_vocabulary)(void *ctx, struct plan_tokenizer *tokenizer);
    /* Id of a special token, or -1. */
    int64_t (*tokenizer_special)(void *ctx, struct plan_tokenizer *tokenizer, const char *text);
    void (*tokenizer_close)(void *ctx, struct plan_tokenizer *tokenizer);
};

/* Bytes that the store must have before the jobs run. */
struct plan_blob {
    struct digest digest;
    int64_t bytes;
    const char *data; /* in memory, or NULL and then: */
    const char *path; /* a file */
    const char *what; /* for people: "data of llama-tiny/PT" */
};

struct plan_job {
    struct digest identity;
    enum job_kind kind;
    const char *label;                   /* "llama-tiny/ST/flight/42" */
    const char *family, *variant, *task; /* task "" for training jobs */
    const char *format;                  /* evaluate: "colon"; else "" */
    uint64_t seed;
    struct str spec;             /* canonical JSON */
    struct named_digest *inputs; /* name -> blob or tree */
    size_t input_count;
    struct named_digest *parents; /* name -> identity of a job of this plan */
    size_t parent_count;
    uint32_t threads;
    uint32_t ranks;        /* processes that share it, each with these threads and memory; 0 is 1 */
    int64_t memory_bytes;  /* estimate, or what the manifest says */
    int64_t items;         /* records that an evaluation gives; 0 otherwise */
    int64_t steps, tokens; /* training: updates, and tokens over all of them; evaluation: tokens */
    double flops, hours;   /* estimates */
};

/* A task in a family: what all variants answer. */
struct plan_task {
    const char *family, *suite, *task, *source, *licence;
    uint32_t k;
    bool k_chosen;      /* by the rule; else as the manifest says */
    uint32_t pool;      /* sequences looked at */
    uint32_t reaching;  /* of them, how many have k + 1 examples within the context */
    uint32_t sequences; /* evaluated */
    /* Share of the examples of the pool that k and the context leave out. */
    double truncated;
    int64_t tokens_max;  /* longest sequence in any format */
    const char *pairing; /* hex */
};

/* A checkpoint that somebody else trained. */
struct plan_checkpoint {
    const char *family, *variant;
    const char *named;  /* as in the manifest */
    const char *commit; /* of the hub's repository; "" for a folder */
    const char *digest; /* of its files' list, hex */
    int64_t bytes;
};

/* A cell of the report. */
struct plan_cell {
    const char *family, *variant, *format, *suite, *task, *pairing;
    uint64_t seed;
    enum record_kind kind;
    uint32_t k;            /* scores; else the last position that records have */
    uint32_t permutations; /* scores: sequences that follow each other with the same examples */
    bool terminator;       /* choices: a candidate counts with what ends it */
    const struct plan_setting *settings; /* samples: one per sequence of the data set */
    size_t setting_count;
    int64_t items;
    size_t *jobs; /* the cell's shares, in order; indices into jobs */
    size_t job_count, model_job;
};

/* How the texts of one prompt are drawn. */
struct plan_setting {
    const char *component; /* "description", "examples" or "both" */
    double temperature, top_p;
    int64_t top_k, draws;
};

/* Which texts a task of samples wants. */
struct plan_validator {
    const char *task;
    const struct validator *validator;
};

/* What one training job learns from. */
struct plan_data {
    const char *label;  /* of the job */
    const char *what;   /* "mix 'pretrain-small'", "tasks coinflip, …" */
    const char *how;    /* batch, rate, loss: plan_describe.c */
    const char *memory; /* by what; "" when nobody measured */
    struct plan_batch batch;
    const char **sources; /* ids, sorted */
    size_t source_count;
    int64_t sequences, tokens, steps;
    double epochs; /* passes over the data */
};

/* Something that the plan needs and that is not on this machine. */
struct plan_missing {
    const char *what; /* "checkpoint hf:ORG/NAME", "data of globaloqa" */
    const char *how;  /* to get it, in a sentence */
    size_t cells;     /* that wait for it */
};

/* A cell that cannot be planned for want of something. */
struct plan_outline {
    const char *family, *variant, *suite, *task;
    uint64_t seed;
    const char *waits; /* for what */
};

struct plan {
    struct arena arena; /* owns everything but the datasets in blobs */
    const char *experiment;
    const struct manifest *manifest; /* borrowed */
    struct plan_job *jobs;           /* parents before children */
    size_t job_count;
    struct plan_blob *blobs; /* each digest once */
    size_t blob_count;
    struct plan_task *tasks;
    size_t task_count;
    struct plan_cell *cells;
    size_t cell_count;
    struct plan_data *data;
    size_t data_count;
    struct plan_checkpoint *checkpoints;
    size_t checkpoint_count;
    struct plan_validator *validators; /* each task once */
    size_t validator_count;
    struct plan_missing *missing; /* only with missing_ok: such a plan cannot be submitted */
    size_t missing_count;
    struct plan_outline *outlines;
    size_t outline_count;
    const char **held_out; /* source ids that may not be trained on, sorted */
    size_t held_out_count;
    const char **notes; /* sentences for the report */
    size_t note_count;
    const char **warnings;
    size_t warning_count;
};

/* Make the plan. `manifest` must outlive it at the same address (its arena may grow). The same
 * manifest, files and environment give the same bytes. ERR_INVALID with the place in the manifest
 * or mix where there is one: unknown task or mix, a task with fewer than 3 usable examples, a
 * held-out source in a mix.
 */
NODISCARD enum err_code plan_build(struct manifest *manifest, const struct plan_env *env,
                                   struct plan *out, struct err *err);
void plan_release(struct plan *plan);

/* What would happen to a job if the plan were submitted, in a word or two ("new", "done"), or NULL;
 * from the coordinator, hence not known here. */
typedef const char *plan_fate(void *ctx, const struct plan_job *job);

/* Append the plan as JSON, schema "triad.plan/2" (docs/data.md section 6): what the report needs,
 * and all that `triad plan` shows. `fate` may be NULL, and so may `why`: a sentence about a job
 * whose fate surprises. */
void plan_json(const struct plan *plan, plan_fate *fate, plan_fate *why, void *ctx,
               struct strbuf *out);
/* Jobs of the published grid (manifest's `reference`) that the plan's cells stand for, waiting ones
 * too, and how many models they are about; and the comparison as text, with every difference. */
size_t plan_reference_count(const struct plan *plan, size_t *models_out);
void plan_reference_text(const struct plan *plan, struct strbuf *out);

/* Append the plan for people. */
void plan_text(const struct plan *plan, plan_fate *fate, plan_fate *why, void *ctx,
               struct strbuf *out);

#endif
