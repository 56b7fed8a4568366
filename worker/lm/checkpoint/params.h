/* A block of numbers shaped like a model: its parameters, their gradients or an optimizer moment.
 * One allocation; the tensors (tensor_spec.h) lie in it one after the other in file order, without
 * gaps, so that q, k and v of a layer (and gate and up) can be read as one matrix. */
#ifndef TRIAD_PARAMS_H
#define TRIAD_PARAMS_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "model_config.h"
#include "tensor_spec.h"

struct params {
    struct tensor_spec *tensors; /* `data` of each points into `block` */
    size_t tensor_count;
    float *block; /* aligned to 64 bytes */
    size_t element_count;
};

/* Allocate zeroed memory for a checked configuration. ERR_LIMIT when the machine has too little.
 * Free with params_release(). */
NODISCARD enum err_code params_init(struct params *p, const struct model_config *config,
                                    struct err *err);
/* Zeroed memory for the same tensors as `other` has: gradients, moments. */
NODISCARD enum err_code params_init_like(struct params *p, const struct params *other,
                                         struct err *err);
/* Also accepts a zeroed struct. */
void params_release(struct params *p);

/* Fill with a fresh model: vectors (norm weights) so that norms multiply by 1, matrices normal(0,
 * init_std) with one random stream per tensor name, so that a tensor's values depend on nothing but
 * seed, name and size. Matrices that write into the residual stream (attention output, mlp down)
 * are scaled by 1 / sqrt(2 * layers) (Radford et al. 2019, section 2.3). */
void params_randomize(struct params *p, const struct model_config *config, uint64_t seed,
                      double init_std);

/* The tensor of a role; `layer` -1 outside the layers. It must exist. */
const struct tensor_spec *params_tensor(const struct params *p, enum tensor_role role, int layer);
/* Its values. */
float *params_data(const struct params *p, enum tensor_role role, int layer);

#endif
