/* The models that benchmarks run: shapes with names, filled with random weights. */
#ifndef TRIAD_BENCH_SHAPE_H
#define TRIAD_BENCH_SHAPE_H

#include "err.h"
#include "model.h"

/* ERR_INVALID with the names for an unknown one. */
NODISCARD enum err_code bench_shape_find(const char *name, struct model_config *out,
                                         struct err *err);
/* A model of that shape with random weights (seed 1). */
NODISCARD enum err_code bench_shape_model(const struct model_config *config,
                                          struct model **model_out, struct err *err);
/* Parameters in matrix products: the head once, embedding lookup and norms not. */
double bench_shape_product_parameters(const struct model_config *config);
/* `count` random token ids, the same for equal arguments. The caller frees them. */
int32_t *bench_shape_ids(const struct model_config *config, size_t count, const char *stream);

#endif
