/* A job's spec: one cell of the grid, resolved, as canonical JSON. Its digest is the job's identity
 * (docs/data.md section 2). The worker reads it in worker/exec/spec.h. */
#ifndef TRIAD_JOBSPEC_H
#define TRIAD_JOBSPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "hash.h"
#include "records.h"
#include "str.h"
#include "vocab.h"

enum schedule_kind { JOBSPEC_LINEAR, JOBSPEC_COSINE, JOBSPEC_CONSTANT };
enum loss_kind {
    JOBSPEC_LOSS_OUTPUTS,
    JOBSPEC_LOSS_ALL,
    JOBSPEC_LOSS_FIRST,
    JOBSPEC_LOSS_LAST,
};
enum numerics_mode { JOBSPEC_STRICT, JOBSPEC_FAST };
enum numerics_precision { JOBSPEC_F32, JOBSPEC_BF16 }; /* of matrix products */
/* What computes them. */
enum numerics_backend { JOBSPEC_PACKED, JOBSPEC_BLAS, JOBSPEC_ONEDNN };

/* Families of models, as worker/lm knows them. */
enum architecture_kind { JOBSPEC_LLAMA, JOBSPEC_QWEN3, JOBSPEC_GEMMA3 };

/* Names of the enums above, as in manifests and specs; ended by NULL. */
extern const char *const jobspec_schedule_names[];
extern const char *const jobspec_loss_names[];
extern const char *const jobspec_numerics_names[];
extern const char *const jobspec_precision_names[];
extern const char *const jobspec_backend_names[];
extern const char *const jobspec_architecture_names[];

struct jobspec_architecture {
    int kind; /* enum architecture_kind */
    int64_t layers, width, heads, kv_heads, head_dim, mlp, context;
    double rope_theta, norm_eps, init_std;
    bool tied;
    /* Families with sliding windows; 0 in the others, whose specs do not name them. */
    int64_t window, window_pattern, query_scalar;
    double rope_local_theta;
};

/* Projections that an adapter can be put on, in the order of their names. */
enum lora_target {
    LORA_Q,
    LORA_K,
    LORA_V,
    LORA_O,
    LORA_GATE,
    LORA_UP,
    LORA_DOWN,
    LORA_TARGET_COUNT,
};
extern const char *const jobspec_lora_target_names[];

struct jobspec_lora {
    int64_t rank; /* 0: all weights are trained */
    double alpha, dropout;
    bool targets[LORA_TARGET_COUNT];
    bool embeddings, head; /* trained in full beside the adapter */
};

struct jobspec_train {
    int64_t sequence_tokens, batch_tokens, batch_sequences, accumulate, steps, epochs, warmup_steps,
        checkpoint_steps;
    double learning_rate, minimum_lr_ratio, weight_decay, beta1, beta2, epsilon, clip_norm,
        loss_rise_max;
    int schedule; /* enum schedule_kind */
    int loss;     /* enum loss_kind */
    int saved_as; /* enum numerics_precision: the type of the finished weights */
    uint64_t seed;
    int64_t shards; /* whose gradients are summed in fixed order; 0 or 1: the step as a whole */
    struct jobspec_lora lora;
};

enum restrict_mode { JOBSPEC_RESTRICT_NONE, JOBSPEC_RESTRICT_AUTO, JOBSPEC_RESTRICT_LIST };

struct jobspec_evaluate {
    enum record_kind kind;
    const char *task, *suite, *format;
    int64_t k;
    int64_t first, sequences; /* this job's share of the data set */
    int64_t items;            /* records that share gives */
    bool calibration;         /* scores: keep every probable token */
    enum restrict_mode restrict_mode;
    const char *const *restrict_texts; /* JOBSPEC_RESTRICT_LIST */
    size_t restrict_count;
    bool restrict_terminators;
};

/* Members that the kind does not have are ignored. */
struct jobspec {
    enum job_kind kind;
    int64_t numerics_version;
    int numerics;  /* enum numerics_mode */
    int precision; /* enum numerics_precision */
    int backend;   /* enum numerics_backend */
    const struct named_digest *inputs, *parents;
    size_t input_count, parent_count;
    const char *layout;        /* import */
    uint64_t seed;             /* import */
    const char *const *tokens; /* import: special_tokens; instruct, spectrum: embedding_tokens */
    size_t token_count;
    /* instruct, spectrum: the special token that ends a turn, and the chat template that goes with
     * the turns; NULL when the format has none */
    const char *turn_end, *chat_template;
    struct jobspec_architecture architecture;
    struct jobspec_train train;
    struct jobspec_evaluate evaluate;
};

/* Append the spec's canonical JSON and return its digest, the identity. Equal specs give equal
 * bytes, whatever the order of inputs and parents. */
struct digest jobspec_write(const struct jobspec *spec, struct strbuf *out);

#endif
