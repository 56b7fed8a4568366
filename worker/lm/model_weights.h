/* A model's weights as runs, samplers and branches use them, wherever they are: in memory or mapped
 * in their stored type. */
#ifndef TRIAD_MODEL_WEIGHTS_H
#define TRIAD_MODEL_WEIGHTS_H

#include "model.h"
#include "model_layer.h"

/* The weights of a layer, for forward passes with these operations. Of a mapped model they are
 * valid until the next layer is asked for. */
struct layer_params model_layer(const struct model *model, const struct kernel_ops *ops, int layer);
/* The embeddings of ids[context->rows], scaled as the family does: layer_embed(). */
void model_embed(const struct model *model, const struct layer_context *context, float *stream,
                 const int32_t *ids);
/* logits[rows][vocabulary] = in[rows][width] * head^T. */
void model_logits(const struct model *model, const struct kernel_ops *ops, float *logits,
                  const float *in, int rows);

#endif
