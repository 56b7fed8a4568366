/* Low-rank adapters (Hu et al. 2021, "LoRA"): beside a fixed matrix W [out][in] two small ones that
 * are trained,
 *
 *   y = W x + scale * B (A drop(x)),   A [rank][in], B [out][rank], scale = alpha / rank.
 *
 * Embedding and head can be trained in full beside them. B is held transposed, [rank][out], which
 * makes all its products those of kernels.h; files have it as PEFT writes it (peft.h). */
#ifndef TRIAD_ADAPTER_H
#define TRIAD_ADAPTER_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "model_config.h"
#include "params.h"

/* Matrices that can have one. */
enum adapter_target {
    ADAPTER_Q,
    ADAPTER_K,
    ADAPTER_V,
    ADAPTER_O,
    ADAPTER_GATE,
    ADAPTER_UP,
    ADAPTER_DOWN,
    ADAPTER_TARGET_COUNT,
};

struct adapter_config {
    int rank;
    double alpha;
    double dropout; /* probability that an input element is left out, in training */
    bool targets[ADAPTER_TARGET_COUNT];
    bool embeddings, head; /* trained in full; the same matrix when the head is tied */
};

/* "q_proj" … "down_proj". */
const char *adapter_target_name(enum adapter_target target);
/* ADAPTER_TARGET_COUNT when no target has this name. */
enum adapter_target adapter_target_find(const char *name);

/* The two matrices of one target in one layer, or their gradients; NULL where there is no adapter.
 */
struct adapter_pair {
    float *a; /* [rank][in] */
    float *b; /* [rank][out]: B transposed */
};

struct adapter {
    struct adapter_config config;
    double scale;
    struct params own; /* A and B of every layer and target, in one block */
    /* All that is trained: the same tensors, then embedding and head where they lie in the model.
     * Owns its table, not its data. */
    struct params trained;
};

/* An adapter for a model whose weights are `model` (borrowed; embedding and head are trained in
 * place). A is uniform on ±1/sqrt(in), as PEFT begins, one random stream per name; B is zero, so
 * the model computes as before. ERR_INVALID for a configuration that cannot work. Free with
 * adapter_release(), which accepts a zeroed struct. */
NODISCARD enum err_code adapter_init(struct adapter *adapter, const struct adapter_config *config,
                                     const struct model_config *shape, const struct params *model,
                                     uint64_t seed, struct err *err);
void adapter_release(struct adapter *adapter);

/* The pair of a layer and target in a block shaped like `adapter->trained` (itself, or gradients).
 */
struct adapter_pair adapter_pair_at(const struct adapter *adapter, const struct params *block,
                                    int layer, enum adapter_target target);

/* W += scale * B A in a model's weights: what it then computes is what it computed with the
 * adapter, without dropout. */
void adapter_merge(const struct adapter *adapter, struct params *model);

/* How many values adapters of this configuration train, and how many of them beside the model's own
 * (embedding and head lie in the model). */
size_t adapter_trained_elements(const struct adapter_config *config,
                                const struct model_config *shape);
size_t adapter_own_elements(const struct adapter_config *config, const struct model_config *shape);

#endif
