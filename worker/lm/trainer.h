/* Training: steps over a corpus until the schedule ends, somebody stops it or the numbers blow up.
 * Knows nothing of processes, sockets or checkpoint folders' whereabouts: hooks tell the caller. */
#ifndef TRIAD_TRAINER_H
#define TRIAD_TRAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "adapter.h"
#include "batch.h"
#include "corpus.h"
#include "err.h"
#include "loss_watch.h"
#include "model.h"
#include "optimizer.h"
#include "schedule.h"
#include "train_group.h"
#include "train_memory.h"

/* Keep all activations for the backward pass, or compute them twice (MODEL_TRAIN_AGAIN). */
enum train_recompute {
    TRAIN_RECOMPUTE_AUTO, /* when they would not fit into memory_bytes_max otherwise */
    TRAIN_RECOMPUTE_ALWAYS,
    TRAIN_RECOMPUTE_NEVER,
};

struct train_options {
    size_t batch_tokens;
    uint32_t accumulate;      /* micro-batches of batch_tokens per step, at least 1 */
    uint32_t batch_sequences; /* sequences per step instead (batch.h); 0: as accumulate says */
    uint32_t shards;          /* of a step (shard_sum.h), a power of two; 0 is 1 */
    int64_t steps;            /* 0: as many as `epochs` take */
    int64_t epochs;           /* passes over the data; 0: one */
    double loss_rise_max;     /* nats, loss_watch.h; 0: no bound */
    struct schedule schedule; /* its `steps` is filled in by the trainer */
    struct optimizer_options optimizer;
    int64_t checkpoint_steps; /* call the checkpoint hook after every so many steps; 0: never */
    size_t memory_bytes_max;  /* refuse to take more; 0: no bound. It changes no result */
    enum train_recompute recompute; /* neither does this */
    /* Train this instead of the model's own weights (borrowed); NULL: all weights. */
    struct adapter *adapter;
    uint64_t seed; /* of the adapter's dropout */
    /* The ranks that share the steps (borrowed), whose number divides `shards`; NULL: this process
     * alone. It changes no result. */
    const struct train_group *group;
};

/* What a step gave. */
struct train_metrics {
    int64_t step;     /* of this measurement, 0-based */
    double loss_nats; /* mean over the loss tokens of the whole step, before its update */
    double rate;      /* learning rate of its update */
    double grad_norm; /* before clipping */
    double tokens_per_s;
    size_t token_count;
    size_t loss_token_count;
    size_t memory_bytes; /* parameters, gradients, moments and activations */
};

enum train_outcome {
    TRAIN_DONE,
    TRAIN_STOPPED,  /* the hook said so, between two steps */
    TRAIN_DIVERGED, /* loss or gradient norm is not finite */
    TRAIN_ROSE,     /* the loss rose beyond loss_rise_max; in both, the weights are those before */
};

struct train_result {
    enum train_outcome outcome;
    int64_t step; /* steps completed: the one that went wrong has this number */
    struct train_metrics last;
    struct loss_watch watch; /* the last loss taken in */
};

struct trainer;

/* Called from trainer_run() on its thread; each may be NULL. In a group rank 0's word on stopping
 * counts, and all ranks have a checkpoint hook or none: it is called on each at the same steps. */
struct train_hooks {
    void *ctx;
    void (*on_step)(void *ctx, const struct train_metrics *metrics);
    bool (*should_stop)(void *ctx);
    /* Save a checkpoint; a failure (of any rank) ends the run with that error. Not called while the
     * loss stands more than half of loss_rise_max above its lowest: what is kept is from before the
     * rise. */
    enum err_code (*checkpoint)(void *ctx, struct trainer *trainer, struct err *err);
};

/* Prepare to train `model` on `corpus` (both borrowed; they must outlive the trainer). Rows of
 * special tokens taken from another model must be in place before. ERR_INVALID for options that
 * cannot work, ERR_LIMIT when the memory is not there or more than memory_bytes_max. Free with
 * trainer_free(), which accepts NULL. */
NODISCARD enum err_code trainer_new(struct model *model, const struct corpus *corpus,
                                    const struct train_options *options,
                                    struct trainer **trainer_out, struct err *err);
void trainer_free(struct trainer *trainer);

/* Train from where the trainer is to the end. The outcome is data, an error is not: only a failing
 * checkpoint hook or group gives one. Ranks whose weights are not the same at a checkpoint or at
 * the end (they run on processors that do not compute alike) fail with ERR_CONFLICT. */
NODISCARD enum err_code trainer_run(struct trainer *trainer, const struct train_hooks *hooks,
                                    struct train_result *result_out, struct err *err);

/* Rank 0's state and moments, for the other ranks of the group; what was loaded is loaded on rank
 * 0. ERR_CONFLICT where data or options differ. */
NODISCARD enum err_code trainer_share(struct trainer *trainer, struct err *err);

/* Steps completed, and of how many. */
int64_t trainer_step(const struct trainer *trainer);
int64_t trainer_steps(const struct trainer *trainer);
/* Has the loss risen by more than half of loss_rise_max? A checkpoint taken now would take the
 * place of one from before the rise. */
bool trainer_is_rising(const struct trainer *trainer);
/* What it takes. */
const struct train_memory *trainer_memory(const struct trainer *trainer);
/* How many values the optimizer changes. */
size_t trainer_trained_elements(const struct trainer *trainer);

/* Write optimizer.safetensors and trainer_state.json into `folder`, beside a model (or adapter)
 * that the caller saves in f32: together they are everything a later trainer needs to continue bit
 * for bit. */
NODISCARD enum err_code trainer_save(const struct trainer *trainer, const char *folder,
                                     struct err *err);
/* Take over such a state; the model's weights must be those saved beside it. ERR_CONFLICT when it
 * was made with other data or options, ERR_CORRUPT when it is damaged. */
NODISCARD enum err_code trainer_load(struct trainer *trainer, const char *folder, struct err *err);

#endif
