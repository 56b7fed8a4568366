/* Adapters (adapter.h) at work: the projections of a layer, with what an adapter adds to them, and
 * the memory that takes in a run. */
#ifndef TRIAD_LAYER_ADAPTER_H
#define TRIAD_LAYER_ADAPTER_H

#include <stdint.h>

#include "adapter.h"
#include "model_layer.h"
#include "model_pack.h"

/* One layer's adapters. Shapes as in kernels.h; R is the rank. */
struct layer_adapter {
    int layer, rank;
    double scale, dropout;
    struct adapter_pair weights[ADAPTER_TARGET_COUNT]; /* NULL where the target has none */
    struct adapter_pair gradients[ADAPTER_TARGET_COUNT];
    float *low;      /* [N][R] scale * A x; overwritten by every projection */
    float *low_grad; /* [N][R] */
    float *wide;     /* [N][widest input] x without what is dropped; NULL without dropout */
};

/* All of a run. Zero-initialise; free with run_adapter_release(). */
struct run_adapter {
    struct layer_adapter *layers;
    uint64_t *row_keys;      /* [N] what dropout depends on: the sequence's key and the position */
    uint64_t *loss_row_keys; /* [loss rows] the same, gathered */
    void *memory;
};

/* `adapter` and `gradients` (a block shaped like its `trained`) are borrowed. ERR_LIMIT when the
 * memory is not there. */
NODISCARD enum err_code run_adapter_init(struct run_adapter *run, const struct adapter *adapter,
                                         const struct params *gradients,
                                         const struct model_config *config,
                                         const struct space_shape *shape, struct err *err);
void run_adapter_release(struct run_adapter *run);
/* Bytes that run_adapter_init() would take. */
size_t run_adapter_bytes(const struct adapter_config *adapter, const struct model_config *config,
                         const struct space_shape *shape);
/* Fill the keys for a batch that was just packed. */
void run_adapter_keys(struct run_adapter *run, const struct model_sequence *sequences, size_t count,
                      const struct packed *packed, const struct model_space *space);

/* out[N][O] = in[N][C] * w[O][C]^T, and what the layer's adapter on this target adds; with `stored`
 * (not NULL) w's values are those, as bf16. */
void linear_forward(const struct layer_context *context, enum adapter_target target, float *out,
                    const float *in, const float *w, const void *stored, int N, int C, int O);
/* grad_in[N][C] = (or +=, with `add`) the gradient of the input; dw += that of the matrix, unless
 * it is NULL (not trained); the adapter's gradients are added to. */
void linear_backward(const struct layer_context *context, enum adapter_target target,
                     float *grad_in, bool add, const float *grad_out, const float *in,
                     const float *w, float *dw, int N, int C, int O);

#endif
