/* A language model in memory, and running it forward and backward over batches of sequences.
 *
 * The numbers obey the bit contract of ARCHITECTURE.md: what a sequence gives (losses, hits)
 * has the same bits whatever else is in its batch and however many threads work, because every
 * sequence begins on a row-block boundary of its batch, loss rows are gathered per sequence on
 * block boundaries, and every product is made of fixed-shape blocks (kernels.h). */
#ifndef TRIAD_MODEL_H
#define TRIAD_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "model_config.h"
#include "params.h"

struct adapter;
struct adapter_config;
struct kernel_ops;

/* Weights and configuration. Read-only while runs use it, except between their calls. */
struct model;

/* A model with all weights zero; `config` is checked. Then fill model_params(): by
 * params_randomize() or from a checkpoint. The caller frees with model_free(), which accepts NULL.
 */
NODISCARD enum err_code model_new(const struct model_config *config, struct model **model_out,
                                  struct err *err);
/* A model around weights that exist already: takes over the block of `take_params`, which is left
 * zeroed; unchanged when this fails. */
NODISCARD enum err_code model_from_params(const struct model_config *config,
                                          struct params *take_params, struct model **model_out,
                                          struct err *err);
/* Read a Hugging Face folder (checkpoint.h) into memory, as float: for training. */
NODISCARD enum err_code model_load(const char *folder, struct model **model_out, struct err *err);
/* Map a Hugging Face folder for scoring and generating: weights stay as they are stored
 * (stored_weights.h), and give the bits of model_load()'s. One run computes with it at a time, and
 * none trains it. */
NODISCARD enum err_code model_open(const char *folder, struct model **model_out, struct err *err);
void model_free(struct model *model);
const struct model_config *model_shape(const struct model *model);
struct params *model_params(struct model *model); /* not of a mapped model */
/* The same for reading; a mapped model's tensors may have no data (stored_weights.h). */
const struct params *model_weights(const struct model *model);

/* Bytes of memory that the weights take: all, or of a mapped model what it has beside the file. */
size_t model_weight_bytes(const struct model *model);

/* One sequence to run: the model reads ids[0 … count - 2] and predicts ids[i] for every i ≥ 1 with
 * losses[i] != 0. All borrowed during the call. */
struct model_sequence {
    const int32_t *ids;
    const uint8_t *losses;
    size_t count; /* 1 … context + 1 */
    uint64_t key; /* training with an adapter: what its dropout depends on */
};

/* What one predicted token gave. */
struct token_score {
    double nats; /* -ln p(token | everything before it in its sequence) */
    bool hit;    /* the token was the most probable one (the lowest id wins ties) */
};

enum model_purpose {
    MODEL_SCORE,       /* forward only: activations of one layer at a time */
    MODEL_TRAIN,       /* keeps what the backward pass needs */
    MODEL_TRAIN_AGAIN, /* keeps the input of every layer and computes the rest of it once more on
                          the way back: the same bits, less memory, a third more work */
};

/* The largest batch a run must hold. */
struct model_capacity {
    size_t sequences;
    size_t tokens;      /* over all sequences, last tokens included */
    size_t loss_tokens; /* over all sequences */
    size_t sequence_tokens;
};

/* Work space for batches of one model, allocated once: no call below allocates. It is sized for
 * kernel_threads() threads: set their number before. */
struct model_run;

/* ERR_LIMIT when the memory is not there. `model` is borrowed and must outlive the run; free with
 * model_run_free(), which accepts NULL. */
NODISCARD enum err_code model_run_new(const struct model *model, enum model_purpose purpose,
                                      const struct model_capacity *capacity,
                                      struct model_run **run_out, struct err *err);
void model_run_free(struct model_run *run);

/* What may look at the logits of the loss tokens of a forward pass, and bound them. Members may be
 * NULL. */
struct model_watch {
    void *ctx;
    /* `vocabulary` flags: the logits of every id whose flag is 0 are lowered by MODEL_FORBIDDEN
     * before anything is computed from them. */
    const uint8_t *allowed;
    /* One call per loss token, in the order of `scores`, which is not written yet; `target` is the
     * token that stands there, ln p(id) = logits[id] - lse. */
    void (*on_logits)(void *ctx, size_t index, const float *logits, int vocabulary, double lse,
                      int32_t target);
};
#define MODEL_FORBIDDEN 100.0f

/* Watch the forward passes from now on; `watch` is borrowed, NULL ends it. */
void model_run_watch(struct model_run *run, const struct model_watch *watch);

/* Score a batch (within the run's capacity): one `scores` entry per loss token, in order of
 * sequence and position. Ids must lie in the vocabulary. */
void model_forward(struct model_run *run, const struct model_sequence *sequences,
                   size_t sequence_count, struct token_score *scores);
/* Add the gradient of scale * sum(nats) of the batch just run forward to `gradients` (shaped like
 * the model's; matrices without data are not trained). The run must be for training; each forward
 * pass allows one backward pass. */
void model_backward(struct model_run *run, double scale, struct params *gradients);

/* From now on compute with an adapter, whose gradients the backward pass adds to `gradients`, a
 * block shaped like adapter->trained (both borrowed). ERR_LIMIT when the memory is not there. */
NODISCARD enum err_code model_run_adapt(struct model_run *run, const struct adapter *adapter,
                                        struct params *gradients, struct err *err);

/* Compute with another table of operations than kernel_select()'s: for tests and benchmarks. */
void model_run_use(struct model_run *run, const struct kernel_ops *ops);

/* Bytes that model_run_new() would take, and model_run_adapt() on top. */
size_t model_run_bytes(const struct model_config *config, enum model_purpose purpose,
                       const struct model_capacity *capacity);
size_t model_run_adapter_bytes(const struct model_config *config,
                               const struct adapter_config *adapter,
                               const struct model_capacity *capacity);

#endif
