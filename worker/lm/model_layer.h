/* One Llama layer, forward and backward, but for the mixing of positions, which the caller puts
 * between its halves: whole sequences (model.c) or a cache (sampler.c).
 *
 *   middle = in + O(mix(rope(Q n1), rope(K n1), V n1)),  n1 = norm(in)
 *   out = middle + Down(silu(Gate n2) * Up n2),          n2 = norm(middle)        */
#ifndef TRIAD_MODEL_LAYER_H
#define TRIAD_MODEL_LAYER_H

#include "kernels.h"
#include "model_space.h"
#include "params.h"

/* The weights of a layer, or their gradients. */
struct layer_params {
    float *attn_norm, *q, *k, *v, *o;
    float *mlp_norm, *gate, *up, *down;
};

struct layer_params layer_params_at(const struct params *p, int layer);

struct layer_context {
    const struct kernel_ops *ops;
    const struct model_config *config;
    int rows;                 /* N, whole blocks */
    const int32_t *positions; /* [N] */
    const float *rope;        /* model_rope_table() */
};

/* in → attn_norm, q, k, v (rotated). */
void layer_project(const struct layer_context *context, const struct layer_space *a,
                   const struct layer_params *w);
/* mixed, in → middle. */
void layer_attend(const struct layer_context *context, const struct layer_space *a,
                  const struct layer_params *w);
/* middle → mlp_norm, gate, up, act, out. */
void layer_mlp(const struct layer_context *context, const struct layer_space *a,
               const struct layer_params *w);

/* The same backwards: each takes g->stream, adds to it what flows into its input and adds to the
 * gradients dw of its weights. layer_attend_backward() leaves the gradient of `mixed` in g->mixed,
 * layer_project_backward() expects those of rotated q, k, v in g (and turns them back). */
void layer_mlp_backward(const struct layer_context *context, const struct layer_space *a,
                        const struct layer_params *w, const struct layer_params *dw,
                        const struct gradient_space *g);
void layer_attend_backward(const struct layer_context *context, const struct layer_space *a,
                           const struct layer_params *w, const struct layer_params *dw,
                           const struct gradient_space *g);
void layer_project_backward(const struct layer_context *context, const struct layer_space *a,
                            const struct layer_params *w, const struct layer_params *dw,
                            const struct gradient_space *g);

#endif
