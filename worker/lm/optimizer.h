/* AdamW with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2) and clipping of the
 * gradient's global norm. Matrices decay, embedding and head included; vectors (norm weights) do
 * not. */
#ifndef TRIAD_OPTIMIZER_H
#define TRIAD_OPTIMIZER_H

#include <stdint.h>

#include "err.h"
#include "params.h"

struct optimizer_options {
    double weight_decay; /* multiplied by the learning rate at each step */
    double beta1;
    double beta2;
    double epsilon;
    double clip_norm; /* 0: no clipping */
};

/* The moments. Zero-initialise; free with optimizer_release(). */
struct optimizer {
    struct optimizer_options options;
    struct params first;  /* mean of gradients */
    struct params second; /* mean of squared gradients */
};

/* For weights shaped like `trained`. */
NODISCARD enum err_code optimizer_init(struct optimizer *o, const struct params *trained,
                                       const struct optimizer_options *options, struct err *err);
void optimizer_release(struct optimizer *o);

/* Euclidean norm over all gradients, summed in double in a fixed order. */
double optimizer_norm(const struct params *gradients);
/* One update. `update` counts from 1; `grad_norm` is optimizer_norm(gradients): when it is above
 * clip_norm, the gradients are first multiplied by clip_norm / (grad_norm + 1e-6), as in PyTorch.
 */
void optimizer_update(struct optimizer *o, struct params *weights, struct params *gradients,
                      double grad_norm, double rate, int64_t update);

#endif
