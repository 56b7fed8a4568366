#include "model_layer.h"

#include "check.h"

struct layer_params layer_params_at(const struct params *p, int layer)
{
    /* A layer's nine tensors follow each other in this order (tensor_spec.h). */
    const struct tensor_spec *t = params_tensor(p, TENSOR_ATTN_NORM, layer);
    _Static_assert(TENSOR_MLP_DOWN - TENSOR_ATTN_NORM == 8, "nine tensors a layer");
    ASSERT(t[8].role == TENSOR_MLP_DOWN && t[8].layer == layer);
    return (struct layer_params){
        .attn_norm = t[TENSOR_ATTN_NORM - TENSOR_ATTN_NORM].data,
        .q = t[TENSOR_ATTN_Q - TENSOR_ATTN_NORM].data,
        .k = t[TENSOR_ATTN_K - TENSOR_ATTN_NORM].data,
        .v = t[TENSOR_ATTN_V - TENSOR_ATTN_NORM].data,
        .o = t[TENSOR_ATTN_O - TENSOR_ATTN_NORM].data,
        .mlp_norm = t[TENSOR_MLP_NORM - TENSOR_ATTN_NORM].data,
        .gate = t[TENSOR_MLP_GATE - TENSOR_ATTN_NORM].data,
        .up = t[TENSOR_MLP_UP - TENSOR_ATTN_NORM].data,
        .down = t[TENSOR_MLP_DOWN - TENSOR_ATTN_NORM].data,
    };
}

void layer_project(const struct layer_context *context, const struct layer_space *a,
                   const struct layer_params *w)
{
    const struct kernel_ops *ops = context->ops;
    const struct model_config *m = context->config;
    const int N = context->rows, C = m->width, H = m->heads, G = m->kv_heads, D = m->head_dim;
    ops->norm_forward(a->attn_norm, a->attn_rstd, a->in, w->attn_norm, m->norm_eps, N, C);
    ops->matmul_forward(a->q, a->attn_norm, w->q, N, C, H * D);
    ops->matmul_forward(a->k, a->attn_norm, w->k, N, C, G * D);
    ops->matmul_forward(a->v, a->attn_norm, w->v, N, C, G * D);
    ops->rope_forward(a->q, context->positions, context->rope, N, H, D);
    ops->rope_forward(a->k, context->positions, context->rope, N, G, D);
}

void layer_attend(const struct layer_context *context, const struct layer_space *a,
                  const struct layer_params *w)
{
    const struct model_config *m = context->config;
    const int N = context->rows, C = m->width;
    context->ops->matmul_forward(a->middle, a->mixed, w->o, N, m->heads * m->head_dim, C);
    context->ops->add(a->middle, a->in, (size_t)N * (size_t)C);
}

void layer_mlp(const struct layer_context *context, const struct layer_space *a,
               const struct layer_params *w)
{
    const struct kernel_ops *ops = context->ops;
    const struct model_config *m = context->config;
    const int N = context->rows, C = m->width, M = m->mlp_width;
    ops->norm_forward(a->mlp_norm, a->mlp_rstd, a->middle, w->mlp_norm, m->norm_eps, N, C);
    ops->matmul_forward(a->gate, a->mlp_norm, w->gate, N, C, M);
    ops->matmul_forward(a->up, a->mlp_norm, w->up, N, C, M);
    ops->swiglu_forward(a->act, a->gate, a->up, (size_t)N * (size_t)M);
    ops->matmul_forward(a->out, a->act, w->down, N, M, C);
    ops->add(a->out, a->middle, (size_t)N * (size_t)C);
}

void layer_mlp_backward(const struct layer_context *context, const struct layer_space *a,
                        const struct layer_params *w, const struct layer_params *dw,
                        const struct gradient_space *g)
{
    const struct kernel_ops *ops = context->ops;
    const struct model_config *m = context->config;
    const int N = context->rows, C = m->width, M = m->mlp_width;
    ops->matmul_backward_input(g->act, g->stream, w->down, N, M, C, false);
    ops->matmul_backward_weight(dw->down, g->stream, a->act, N, M, C);
    ops->swiglu_backward(g->gate, g->up, g->act, a->gate, a->up, (size_t)N * (size_t)M);
    ops->matmul_backward_weight(dw->gate, g->gate, a->mlp_norm, N, C, M);
    ops->matmul_backward_weight(dw->up, g->up, a->mlp_norm, N, C, M);
    ops->matmul_backward_input(g->norm, g->gate, w->gate, N, C, M, false);
    ops->matmul_backward_input(g->norm, g->up, w->up, N, C, M, true);
    ops->norm_backward(g->stream, dw->mlp_norm, g->norm, a->middle, w->mlp_norm, a->mlp_rstd, N, C);
}

void layer_attend_backward(const struct layer_context *context, const struct layer_space *a,
                           const struct layer_params *w, const struct layer_params *dw,
                           const struct gradient_space *g)
{
    const struct model_config *m = context->config;
    const int N = context->rows, C = m->width, query = m->heads * m->head_dim;
    context->ops->matmul_backward_input(g->mixed, g->stream, w->o, N, query, C, false);
    context->ops->matmul_backward_weight(dw->o, g->stream, a->mixed, N, query, C);
}

void layer_project_backward(const struct layer_context *context, const struct layer_space *a,
                            const struct layer_params *w, const struct layer_params *dw,
                            const struct gradient_space *g)
{
    const struct kernel_ops *ops = context->ops;
    const struct model_config *m = context->config;
    const int N = context->rows, C = m->width, H = m->heads, G = m->kv_heads, D = m->head_dim;
    ops->rope_backward(g->q, context->positions, context->rope, N, H, D);
    ops->rope_backward(g->k, context->positions, context->rope, N, G, D);
    ops->matmul_backward_weight(dw->q, g->q, a->attn_norm, N, C, H * D);
    ops->matmul_backward_weight(dw->k, g->k, a->attn_norm, N, C, G * D);
    ops->matmul_backward_weight(dw->v, g->v, a->attn_norm, N, C, G * D);
    ops->matmul_backward_input(g->norm, g->q, w->q, N, C, H * D, false);
    ops->matmul_backward_input(g->norm, g->k, w->k, N, C, G * D, true);
    ops->matmul_backward_input(g->norm, g->v, w->v, N, C, G * D, true);
    ops->norm_backward(g->stream, dw->attn_norm, g->norm, a->in, w->attn_norm, a->attn_rstd, N, C);
}
