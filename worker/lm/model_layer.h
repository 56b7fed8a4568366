/* One layer, forward and backward, but for the mixing of positions, which the caller puts between
 * its halves: whole sequences (model.c) or a cache (sampler.c).
 *
 *   middle = in + post(O(mix(rope(head(Q n1)), rope(head(K n1)), V n1))),  n1 = norm(in)
 *   out = middle + post(Down(act(Gate n2) * Up n2)),                      n2 = norm(middle)
 *
 * What head, post and act are is the family's (model_family.h): head a norm of each head or
 * nothing, post a norm of the branch or nothing, act SiLU or GELU. */
#ifndef TRIAD_MODEL_LAYER_H
#define TRIAD_MODEL_LAYER_H

#include "adapter.h"
#include "kernels.h"
#include "model_space.h"
#include "params.h"

struct layer_adapter;

/* The weights of a layer, or their gradients; NULL where the family has none, and for gradients of
 * matrices that are not trained. */
struct layer_params {
    float *attn_norm, *q, *k, *v, *o, *q_norm, *k_norm, *attn_post_norm;
    float *mlp_norm, *gate, *up, *down, *mlp_post_norm;
    const void *stored[ADAPTER_TARGET_COUNT]; /* matrices whose values are read as bf16 instead */
};

struct layer_params layer_params_at(const struct params *p, int layer);

struct layer_context {
    const struct kernel_ops *ops;
    const struct model_config *config;
    int rows;                            /* N, whole blocks */
    const int32_t *positions;            /* [N] */
    const float *rope;                   /* model_rope_table() of this layer's kind */
    const struct layer_adapter *adapter; /* layer_adapter.h; NULL: none */
    const uint64_t *row_keys;            /* [N] for its dropout */
};

/* How layer `layer` attends. */
struct kernel_attention layer_attention(const struct model_config *config, int layer);

/* The embeddings of ids[N] (rows of zeros for negative ids), scaled as the family does, and back:
 * the gradient of the embeddings' table (NULL: not trained) from that of the stream, which is
 * scaled in place. */
void layer_embed(const struct layer_context *context, float *stream, const int32_t *ids,
                 const float *table);
void layer_embed_scale(const struct layer_context *context, float *stream);
void layer_embed_backward(const struct layer_context *context, float *grad_table,
                          const int32_t *ids, float *grad_stream);

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
