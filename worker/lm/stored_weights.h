/* Weights as a checkpoint stores them, mapped: what scoring and generating compute with. Nothing is
 * converted for good. A layer's tensors are converted, exactly, into one scratch when the layer's
 * turn comes; rows of the embedding when they are looked up; the head panel by panel. So memory
 * holds the file's pages (which the kernel may take back, also where the file is larger than all
 * memory), one layer and one panel in float. Tensors that lie in the file as aligned float32 are
 * used where they are. */
#ifndef TRIAD_STORED_WEIGHTS_H
#define TRIAD_STORED_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "kernels.h"
#include "params.h"
#include "safetensors.h"

/* A matrix in its stored type, for products that read bf16 themselves. */
struct weight_view {
    enum tensor_dtype dtype; /* TENSOR_F32, TENSOR_F16 or TENSOR_BF16 */
    const void *data;        /* row-major, little endian; perhaps not aligned to its elements */
    int rows, cols;
};

struct stored_weights;

/* Map a folder and look through its numbers (checkpoint_check_numbers()). `view_out` describes the
 * model's tensors; their data point to floats once stored_weights_layer() has been asked for their
 * layer, those of the embedding and the head may be NULL. It belongs to the weights. */
NODISCARD enum err_code stored_weights_open(const char *folder, struct stored_weights **weights_out,
                                            struct model_config *config_out, struct err *err);
void stored_weights_close(struct stored_weights *weights); /* accepts NULL */
/* Read layers ahead and let them go after use, as is done by itself where the weights are more than
 * half of the machine's memory. */
void stored_weights_stream(struct stored_weights *weights, bool on);
const struct params *stored_weights_params(const struct stored_weights *weights);

/* Make the data of a layer's tensors those of layer `layer`; they stay so until the next call for
 * another one. `but_bf16`: without matrices that are stored as bf16, which the caller reads as they
 * are (stored_weights_view()). */
void stored_weights_layer(struct stored_weights *weights, int layer, bool but_bf16);
/* out[n] = row ids[n] of the embedding; a negative id gives zeros. */
void stored_weights_gather(const struct stored_weights *weights, float *out, const int32_t *ids,
                           int count);
/* logits[rows][vocabulary] = in[rows][width] * head^T: the bits of one product with a float head.
 */
void stored_weights_logits(struct stored_weights *weights, const struct kernel_ops *ops,
                           float *logits, const float *in, int rows);

struct weight_view stored_weights_view(const struct stored_weights *weights, enum tensor_role role,
                                       int layer);

/* Bytes that are taken beside the file's pages: a layer in float, and a panel of the head. */
size_t stored_weights_bytes(const struct stored_weights *weights);

#endif
