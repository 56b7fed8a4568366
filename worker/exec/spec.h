/* The job spec as the worker reads it: docs/data.md section 2. Strict: what we do not know we
 * refuse by name, because a key that is silently ignored makes a different experiment. */
#ifndef TRIAD_SPEC_H
#define TRIAD_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "vocab.h"

struct spec_names { /* texts, in order */
    const char **items;
    size_t count;
};

struct spec_digests { /* name → digest, in the order of the document */
    struct named_digest *items;
    size_t count;
};

struct spec_numerics {
    const char *backend;   /* "packed", "blas" or "onednn" */
    const char *mode;      /* "strict" or "fast" */
    const char *precision; /* "f32" or "bf16" */
    const char *core_type; /* empty: whatever this worker has */
};

struct spec_architecture {
    const char *kind; /* of model_family.h: "llama" */
    int64_t layers, width, heads, kv_heads, head_dim, mlp, context;
    double rope_theta, norm_eps, init_std;
    bool tied;
    int64_t window, window_pattern, query_scalar; /* families with windows, else 0 */
    double rope_local_theta;
};

struct spec_lora {
    int64_t rank; /* 0: all weights are trained */
    double alpha, dropout;
    struct spec_names targets;
    bool embeddings, head;
};

struct spec_train {
    int64_t sequence_tokens, batch_tokens, batch_sequences, accumulate, steps, epochs, warmup_steps,
        checkpoint_steps, seed, shards;
    double learning_rate, minimum_lr_ratio, weight_decay, beta1, beta2, epsilon, clip_norm,
        loss_rise_max;
    const char *schedule;  /* "linear", "cosine" or "constant" */
    const char *loss;      /* "outputs", "all", "first" or "last" */
    const char *saved_as;  /* "bf16"; absent, or "f32": as they were trained */
    struct spec_lora lora; /* instruct, spectrum; may be absent */
};

struct spec_turns {
    const char *end;           /* the special token that ends a turn; NULL: no turns */
    const char *chat_template; /* what writes them, for other programs */
};

struct spec_restrict {
    const char *mode;        /* "none", "auto" or "list" */
    struct spec_names texts; /* list: answers whose first tokens are allowed */
    bool terminators;        /* what ends an answer is allowed and scored too */
};

struct spec_evaluate {
    const char *kind; /* "scores", "choices" or "samples" */
    const char *task, *suite, *format;
    int64_t k;
    int64_t first, sequences; /* this job's share of the data set */
    int64_t items;            /* records that share gives */
    bool calibration;         /* scores: keep every probable token */
    struct spec_restrict restrict_to;
};

/* Fields that the kind does not have are zero. */
struct spec {
    struct arena arena; /* owns everything below */
    enum job_kind kind;
    int64_t numerics_version;
    struct spec_numerics numerics;
    struct spec_digests inputs, parents;
    const char *layout;                    /* import: "huggingface" or "llama2c" */
    struct spec_names special_tokens;      /* import */
    int64_t seed;                          /* import */
    struct spec_architecture architecture; /* pretrain */
    struct spec_train train;               /* pretrain, instruct, spectrum */
    struct spec_names embedding_tokens;    /* instruct, spectrum */
    struct spec_turns turns;               /* instruct, spectrum; may be absent */
    struct spec_evaluate evaluate;
};

/* Parse at most SPEC_BYTES_MAX bytes. ERR_INVALID with the key's full name ("job spec: unknown key
 * 'train.lr', did you mean …"), ERR_LIMIT when too long. Free with spec_release(). */
NODISCARD enum err_code spec_parse(const void *bytes, size_t len, struct spec *out,
                                   struct err *err);
void spec_release(struct spec *spec);

#endif
