#include "model_layer.h"

#include <string.h>

#include "check.h"
#include "layer_adapter.h"
#include "model_family.h"

/* Where a layer's tensors go. */
static const struct {
    enum tensor_role role;
    size_t offset;
} slots[] = {
    {TENSOR_ATTN_NORM, offsetof(struct layer_params, attn_norm)},
    {TENSOR_ATTN_Q, offsetof(struct layer_params, q)},
    {TENSOR_ATTN_K, offsetof(struct layer_params, k)},
    {TENSOR_ATTN_V, offsetof(struct layer_params, v)},
    {TENSOR_ATTN_O, offsetof(struct layer_params, o)},
    {TENSOR_Q_NORM, offsetof(struct layer_params, q_norm)},
    {TENSOR_K_NORM, offsetof(struct layer_params, k_norm)},
    {TENSOR_ATTN_POST_NORM, offsetof(struct layer_params, attn_post_norm)},
    {TENSOR_MLP_NORM, offsetof(struct layer_params, mlp_norm)},
    {TENSOR_MLP_GATE, offsetof(struct layer_params, gate)},
    {TENSOR_MLP_UP, offsetof(struct layer_params, up)},
    {TENSOR_MLP_DOWN, offsetof(struct layer_params, down)},
    {TENSOR_MLP_POST_NORM, offsetof(struct layer_params, mlp_post_norm)},
};

struct layer_params layer_params_at(const struct params *p, int layer)
{
    struct layer_params params = {0};
    /* A layer's tensors follow each other, the attention's norm first (tensor_spec.h). */
    const struct tensor_spec *end = p->tensors + p->tensor_count;
    for (const struct tensor_spec *t = params_tensor(p, TENSOR_ATTN_NORM, layer);
         t < end && t->layer == layer; t++) {
        for (size_t i = 0; i < ARRAY_COUNT(slots); i++) {
            if (slots[i].role == t->role)
                *(float **)(void *)((char *)&params + slots[i].offset) = t->data;
        }
    }
    return params;
}

struct kernel_attention layer_attention(const struct model_config *config, int layer)
{
    return (struct kernel_attention){
        .H = config->heads,
        .G = config->kv_heads,
        .D = config->head_dim,
        .window = model_layer_is_windowed(config, layer) ? config->window : 0,
        .scale = model_config_score_scale(config),
    };
}

/* ---- embedding ---- */

void layer_embed_scale(const struct layer_context *context, float *stream)
{
    const struct model_config *m = context->config;
    if (model_family(m->kind)->embedding_scale)
        context->ops->scale(stream, model_embedding_scale(m),
                            (size_t)context->rows * (size_t)m->width);
}

void layer_embed(const struct layer_context *context, float *stream, const int32_t *ids,
                 const float *table)
{
    context->ops->gather(stream, ids, table, context->rows, context->config->width);
    layer_embed_scale(context, stream);
}

void layer_embed_backward(const struct layer_context *context, float *grad_table,
                          const int32_t *ids, float *grad_stream)
{
    if (!grad_table)
        return; /* the embedding is not trained */
    layer_embed_scale(context, grad_stream);
    context->ops->scatter_add(grad_table, ids, grad_stream, context->rows, context->config->width);
}

/* ---- norms and gate as the family has them ---- */

static void norm(const struct layer_context *context, float *out, float *rstd, const float *in,
                 const float *weight, int N, int C)
{
    const struct model_config *m = context->config;
    context->ops->norm_forward(out, rstd, in, weight, model_family(m->kind)->norm_base, m->norm_eps,
                               N, C);
}

static void norm_backward(const struct layer_context *context, float *grad_in, float *grad_weight,
                          const float *grad_out, const float *in, const float *weight,
                          const float *rstd, int N, int C)
{
    context->ops->norm_backward(grad_in, grad_weight, grad_out, in, weight,
                                model_family(context->config->kind)->norm_base, rstd, N, C);
}

/* The same where the norm is its input's only reader: grad_in is overwritten. */
static void norm_backward_alone(const struct layer_context *context, float *grad_in,
                                float *grad_weight, const float *grad_out, const float *in,
                                const float *weight, const float *rstd, int N, int C)
{
    memset(grad_in, 0, (size_t)N * (size_t)C * sizeof *grad_in);
    norm_backward(context, grad_in, grad_weight, grad_out, in, weight, rstd, N, C);
}

static void gate_forward(const struct layer_context *context, const struct layer_space *a,
                         size_t count)
{
    switch (model_family(context->config->kind)->gate) {
    case GATE_SILU:
        context->ops->swiglu_forward(a->act, a->gate, a->up, count);
        return;
    case GATE_GELU_TANH:
        context->ops->geglu_forward(a->act, a->gate, a->up, count);
        return;
    }
    UNREACHABLE("a gate outside its enumeration");
}

static void gate_backward(const struct layer_context *context, const struct layer_space *a,
                          const struct gradient_space *g, size_t count)
{
    switch (model_family(context->config->kind)->gate) {
    case GATE_SILU:
        context->ops->swiglu_backward(g->gate, g->up, g->act, a->gate, a->up, count);
        return;
    case GATE_GELU_TANH:
        context->ops->geglu_backward(g->gate, g->up, g->act, a->gate, a->up, count);
        return;
    }
    UNREACHABLE("a gate outside its enumeration");
}

/* ---- forward ---- */

void layer_project(const struct layer_context *context, const struct layer_space *a,
                   const struct layer_params *w)
{
    const struct kernel_ops *ops = context->ops;
    const struct model_config *m = context->config;
    const int N = context->rows, C = m->width, H = m->heads, G = m->kv_heads, D = m->head_dim;
    const bool head_norms = model_family(m->kind)->head_norms;
    norm(context, a->attn_norm, a->attn_rstd, a->in, w->attn_norm, N, C);
    linear_forward(context, ADAPTER_Q, head_norms ? a->q_in : a->q, a->attn_norm, w->q,
                   w->stored[ADAPTER_Q], N, C, H * D);
    linear_forward(context, ADAPTER_K, head_norms ? a->k_in : a->k, a->attn_norm, w->k,
                   w->stored[ADAPTER_K], N, C, G * D);
    linear_forward(context, ADAPTER_V, a->v, a->attn_norm, w->v, w->stored[ADAPTER_V], N, C, G * D);
    if (head_norms) {
        norm(context, a->q, a->q_rstd, a->q_in, w->q_norm, N * H, D);
        norm(context, a->k, a->k_rstd, a->k_in, w->k_norm, N * G, D);
    }
    ops->rope_forward(a->q, context->positions, context->rope, N, H, D);
    ops->rope_forward(a->k, context->positions, context->rope, N, G, D);
}

void layer_attend(const struct layer_context *context, const struct layer_space *a,
                  const struct layer_params *w)
{
    const struct model_config *m = context->config;
    const int N = context->rows, C = m->width;
    const bool normed = model_family(m->kind)->branch_norms;
    linear_forward(context, ADAPTER_O, normed ? a->attn_add : a->middle, a->mixed, w->o,
                   w->stored[ADAPTER_O], N, m->heads * m->head_dim, C);
    if (normed)
        norm(context, a->middle, a->attn_add_rstd, a->attn_add, w->attn_post_norm, N, C);
    context->ops->add(a->middle, a->in, (size_t)N * (size_t)C);
}

void layer_mlp(const struct layer_context *context, const struct layer_space *a,
               const struct layer_params *w)
{
    const struct kernel_ops *ops = context->ops;
    const struct model_config *m = context->config;
    const int N = context->rows, C = m->width, M = m->mlp_width;
    const bool normed = model_family(m->kind)->branch_norms;
    norm(context, a->mlp_norm, a->mlp_rstd, a->middle, w->mlp_norm, N, C);
    linear_forward(context, ADAPTER_GATE, a->gate, a->mlp_norm, w->gate, w->stored[ADAPTER_GATE], N,
                   C, M);
    linear_forward(context, ADAPTER_UP, a->up, a->mlp_norm, w->up, w->stored[ADAPTER_UP], N, C, M);
    gate_forward(context, a, (size_t)N * (size_t)M);
    linear_forward(context, ADAPTER_DOWN, normed ? a->mlp_add : a->out, a->act, w->down,
                   w->stored[ADAPTER_DOWN], N, M, C);
    if (normed)
        norm(context, a->out, a->mlp_add_rstd, a->mlp_add, w->mlp_post_norm, N, C);
    ops->add(a->out, a->middle, (size_t)N * (size_t)C);
}

/* ---- backward ---- */

void layer_mlp_backward(const struct layer_context *context, const struct layer_space *a,
                        const struct layer_params *w, const struct layer_params *dw,
                        const struct gradient_space *g)
{
    const struct model_config *m = context->config;
    const int N = context->rows, C = m->width, M = m->mlp_width;
    const float *added = g->stream;
    if (model_family(m->kind)->branch_norms) {
        norm_backward_alone(context, g->branch, dw->mlp_post_norm, g->stream, a->mlp_add,
                            w->mlp_post_norm, a->mlp_add_rstd, N, C);
        added = g->branch;
    }
    linear_backward(context, ADAPTER_DOWN, g->act, false, added, a->act, w->down, dw->down, N, M,
                    C);
    gate_backward(context, a, g, (size_t)N * (size_t)M);
    linear_backward(context, ADAPTER_GATE, g->norm, false, g->gate, a->mlp_norm, w->gate, dw->gate,
                    N, C, M);
    linear_backward(context, ADAPTER_UP, g->norm, true, g->up, a->mlp_norm, w->up, dw->up, N, C, M);
    norm_backward(context, g->stream, dw->mlp_norm, g->norm, a->middle, w->mlp_norm, a->mlp_rstd, N,
                  C);
}

void layer_attend_backward(const struct layer_context *context, const struct layer_space *a,
                           const struct layer_params *w, const struct layer_params *dw,
                           const struct gradient_space *g)
{
    const struct model_config *m = context->config;
    const int N = context->rows, C = m->width, query = m->heads * m->head_dim;
    const float *added = g->stream;
    if (model_family(m->kind)->branch_norms) {
        norm_backward_alone(context, g->branch, dw->attn_post_norm, g->stream, a->attn_add,
                            w->attn_post_norm, a->attn_add_rstd, N, C);
        added = g->branch;
    }
    linear_backward(context, ADAPTER_O, g->mixed, false, added, a->mixed, w->o, dw->o, N, query, C);
}

void layer_project_backward(const struct layer_context *context, const struct layer_space *a,
                            const struct layer_params *w, const struct layer_params *dw,
                            const struct gradient_space *g)
{
    const struct kernel_ops *ops = context->ops;
    const struct model_config *m = context->config;
    const int N = context->rows, C = m->width, H = m->heads, G = m->kv_heads, D = m->head_dim;
    const float *q = g->q, *k = g->k;
    ops->rope_backward(g->q, context->positions, context->rope, N, H, D);
    ops->rope_backward(g->k, context->positions, context->rope, N, G, D);
    if (model_family(m->kind)->head_norms) {
        norm_backward_alone(context, g->q_in, dw->q_norm, g->q, a->q_in, w->q_norm, a->q_rstd,
                            N * H, D);
        norm_backward_alone(context, g->k_in, dw->k_norm, g->k, a->k_in, w->k_norm, a->k_rstd,
                            N * G, D);
        q = g->q_in;
        k = g->k_in;
    }
    linear_backward(context, ADAPTER_Q, g->norm, false, q, a->attn_norm, w->q, dw->q, N, C, H * D);
    linear_backward(context, ADAPTER_K, g->norm, true, k, a->attn_norm, w->k, dw->k, N, C, G * D);
    linear_backward(context, ADAPTER_V, g->norm, true, g->v, a->attn_norm, w->v, dw->v, N, C,
                    G * D);
    norm_backward(context, g->stream, dw->attn_norm, g->norm, a->in, w->attn_norm, a->attn_rstd, N,
                  C);
}
