#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checkpoint.h"
#include "kernels.h"
#include "layer_adapter.h"
#include "model_family.h"
#include "model_layer.h"
#include "model_pack.h"
#include "model_rope.h"
#include "model_space.h"
#include "model_weights.h"
#include "stored_weights.h"

struct model {
    struct model_config config;
    struct params params;
    struct stored_weights *stored; /* mapped, or NULL: the weights are in `params` */
};

struct model_run {
    const struct model *model; /* borrowed */
    const struct kernel_ops *ops;
    struct space_shape shape;
    struct model_space space;
    void *memory;               /* what `space` points into */
    struct run_adapter adapter; /* `layers` is NULL without one */
    struct packed packed;
    bool forward_done;               /* a backward pass may follow */
    const struct model_watch *watch; /* or NULL */
};

enum err_code model_from_params(const struct model_config *config, struct params *take_params,
                                struct model **model_out, struct err *err)
{
    ASSERT(take_params->element_count == model_config_parameters(config));
    struct model *model = calloc(1, sizeof *model);
    if (!model)
        return err_set(err, ERR_LIMIT, "make a model: no memory");
    model->config = *config;
    model->params = *take_params;
    *take_params = (struct params){0};
    *model_out = model;
    return ERR_OK;
}

enum err_code model_new(const struct model_config *config, struct model **model_out,
                        struct err *err)
{
    struct params params = {0};
    enum err_code rc = model_config_check(config, err);
    if (rc == ERR_OK)
        rc = params_init(&params, config, err);
    if (rc == ERR_OK)
        rc = model_from_params(config, &params, model_out, err);
    params_release(&params);
    return rc;
}

enum err_code model_load(const char *folder, struct model **model_out, struct err *err)
{
    struct checkpoint_weights weights = {0};
    enum err_code rc = checkpoint_weights_load(folder, &weights, err);
    if (rc == ERR_OK)
        rc = model_from_params(&weights.config, &weights.params, model_out, err);
    checkpoint_weights_release(&weights);
    return rc;
}

enum err_code model_open(const char *folder, struct model **model_out, struct err *err)
{
    struct model *model = calloc(1, sizeof *model);
    if (!model)
        return err_set(err, ERR_LIMIT, "make a model: no memory");
    enum err_code rc = stored_weights_open(folder, &model->stored, &model->config, err);
    if (rc == ERR_OK)
        *model_out = model;
    else
        free(model);
    return rc;
}

void model_free(struct model *model)
{
    if (!model)
        return;
    stored_weights_close(model->stored);
    params_release(&model->params);
    free(model);
}

const struct model_config *model_shape(const struct model *model)
{
    return &model->config;
}

struct params *model_params(struct model *model)
{
    ASSERT(!model->stored);
    return &model->params;
}

const struct params *model_weights(const struct model *model)
{
    return model->stored ? stored_weights_params(model->stored) : &model->params;
}

size_t model_weight_bytes(const struct model *model)
{
    if (model->stored)
        return stored_weights_bytes(model->stored);
    return model->params.element_count * sizeof(float);
}

struct layer_params model_layer(const struct model *model, const struct kernel_ops *ops, int layer)
{
    static const enum tensor_role roles[ADAPTER_TARGET_COUNT] = {
        [ADAPTER_Q] = TENSOR_ATTN_Q,      [ADAPTER_K] = TENSOR_ATTN_K,
        [ADAPTER_V] = TENSOR_ATTN_V,      [ADAPTER_O] = TENSOR_ATTN_O,
        [ADAPTER_GATE] = TENSOR_MLP_GATE, [ADAPTER_UP] = TENSOR_MLP_UP,
        [ADAPTER_DOWN] = TENSOR_MLP_DOWN,
    };
    const bool reads_stored = ops->matmul_forward_stored != NULL;
    if (model->stored)
        stored_weights_layer(model->stored, layer, reads_stored);
    struct layer_params params = layer_params_at(model_weights(model), layer);
    for (int t = 0; model->stored && reads_stored && t < ADAPTER_TARGET_COUNT; t++) {
        const struct weight_view view = stored_weights_view(model->stored, roles[t], layer);
        params.stored[t] = view.dtype == TENSOR_BF16 ? view.data : NULL;
    }
    return params;
}

void model_embed(const struct model *model, const struct layer_context *context, float *stream,
                 const int32_t *ids)
{
    if (!model->stored) {
        layer_embed(context, stream, ids, params_data(&model->params, TENSOR_EMBEDDING, -1));
        return;
    }
    stored_weights_gather(model->stored, stream, ids, context->rows);
    layer_embed_scale(context, stream);
}

/* The head's matrix, vocabulary × width, in the weights or a block shaped like them. */
static float *model_head(const struct model_config *config, const struct params *p)
{
    return params_data(p, config->head_tied ? TENSOR_EMBEDDING : TENSOR_HEAD, -1);
}

void model_logits(const struct model *model, const struct kernel_ops *ops, float *logits,
                  const float *in, int rows)
{
    const struct model_config *m = &model->config;
    if (model->stored)
        stored_weights_logits(model->stored, ops, logits, in, rows);
    else
        ops->matmul_forward(logits, in, model_head(m, &model->params), rows, m->width,
                            m->vocabulary);
}

enum err_code model_run_new(const struct model *model, enum model_purpose purpose,
                            const struct model_capacity *capacity, struct model_run **run_out,
                            struct err *err)
{
    struct model_run *run = calloc(1, sizeof *run);
    if (!run)
        return err_set(err, ERR_LIMIT, "run a model: no memory");
    run->model = model;
    run->ops = kernel_select();
    ASSERT(purpose == MODEL_SCORE || !model->stored);
    if (!model_space_shape(&model->config, purpose, capacity, &run->shape)) {
        free(run);
        return err_set(err, ERR_LIMIT, "run a model: a batch of %zu tokens is too large",
                       capacity->tokens);
    }
    size_t bytes = model_space_place(&model->config, &run->shape, run->ops, NULL, NULL);
    run->memory = aligned_alloc(64, bytes);
    if (!run->memory) {
        free(run);
        return err_set(err, ERR_LIMIT, "run a model: no memory for %zu bytes of activations",
                       bytes);
    }
    model_space_place(&model->config, &run->shape, run->ops, run->memory, &run->space);
    model_rope_table(&model->config, false, 0, run->shape.positions, run->space.rope);
    if (run->space.rope_local)
        model_rope_table(&model->config, true, 0, run->shape.positions, run->space.rope_local);
    *run_out = run;
    return ERR_OK;
}

void model_run_free(struct model_run *run)
{
    if (!run)
        return;
    run_adapter_release(&run->adapter);
    free(run->memory);
    free(run);
}

size_t model_run_bytes(const struct model_config *config, enum model_purpose purpose,
                       const struct model_capacity *capacity)
{
    struct space_shape shape;
    if (!model_space_shape(config, purpose, capacity, &shape))
        return SIZE_MAX / 2; /* more than there is, and it can be added to */
    return model_space_place(config, &shape, kernel_select(), NULL, NULL);
}

size_t model_run_adapter_bytes(const struct model_config *config,
                               const struct adapter_config *adapter,
                               const struct model_capacity *capacity)
{
    struct space_shape shape;
    if (!model_space_shape(config, MODEL_TRAIN, capacity, &shape))
        return 0; /* model_run_bytes() says that it is too much */
    return run_adapter_bytes(adapter, config, &shape);
}

enum err_code model_run_adapt(struct model_run *run, const struct adapter *adapter,
                              struct params *gradients, struct err *err)
{
    ASSERT(run->shape.training && !run->adapter.layers);
    return run_adapter_init(&run->adapter, adapter, gradients, &run->model->config, &run->shape,
                            err);
}

void model_run_use(struct model_run *run, const struct kernel_ops *ops)
{
    run->ops = ops;
}

/* Padding rows of the attention's output are unspecified: as zeros they stay zero through the rest
 * of the layer, and add nothing to weight gradients. */
static void clear_padding(const struct kernel_batch *batch, float *x, int cols)
{
    for (int s = 0; s < batch->sequence_count; s++) {
        const int from = batch->start[s] + batch->len[s];
        const int to = batch->start[s] + kernel_rows_padded(batch->len[s]);
        memset(x + (size_t)from * (size_t)cols, 0, (size_t)(to - from) * (size_t)cols * sizeof *x);
    }
}

/* How layer `layer` sees the whole batch. */
static struct layer_context all_rows(const struct model_run *run, int layer)
{
    const struct model_space *s = &run->space;
    const bool windowed = model_layer_is_windowed(&run->model->config, layer);
    return (struct layer_context){
        .ops = run->ops,
        .config = &run->model->config,
        .rows = run->packed.batch.rows,
        .positions = s->positions,
        .rope = windowed ? s->rope_local : s->rope,
        .adapter = run->adapter.layers ? &run->adapter.layers[layer] : NULL,
        .row_keys = run->adapter.row_keys,
    };
}

/* After the last attention no row looks at another, and only loss rows are looked at: the rest of
 * the last layer sees them alone, gathered. */
static struct layer_context loss_rows(const struct model_run *run)
{
    struct layer_context context = all_rows(run, run->model->config.layers - 1);
    context.rows = run->packed.loss_rows;
    context.row_keys = run->adapter.loss_row_keys;
    return context;
}

/* The last layer behind its attention, on gathered rows. */
static struct layer_space last_layer(const struct model_run *run)
{
    const struct model_space *s = &run->space;
    struct layer_space a = s->layers[run->model->config.layers - 1];
    a.in = s->last_in;
    a.mixed = s->last_mixed;
    a.out = s->final_in;
    return a;
}

static void attention_forward(const struct model_run *run, int layer, const struct layer_space *a,
                              const struct layer_params *w)
{
    const struct model_config *m = &run->model->config;
    const struct kernel_attention shape = layer_attention(m, layer);
    struct layer_context context = all_rows(run, layer);
    layer_project(&context, a, w);
    run->ops->attention_forward(a->mixed, a->lse, a->q, a->k, a->v, &run->packed.batch, &shape,
                                run->space.attention);
    clear_padding(&run->packed.batch, a->mixed, m->heads * m->head_dim);
}

static void layers_forward(const struct model_run *run)
{
    const struct model_config *m = &run->model->config;
    const struct model_space *s = &run->space;
    for (int i = 0; i < m->layers; i++) {
        const struct layer_space *a = &s->layers[i];
        struct layer_context context = all_rows(run, i);
        struct layer_params weights = model_layer(run->model, run->ops, i);
        attention_forward(run, i, a, &weights);
        if (i < m->layers - 1) {
            layer_attend(&context, a, &weights);
            layer_mlp(&context, a, &weights);
            continue;
        }
        struct layer_context gathered = loss_rows(run);
        struct layer_space last = last_layer(run);
        run->ops->gather(s->last_in, s->loss_rows, a->in, gathered.rows, m->width);
        run->ops->gather(s->last_mixed, s->loss_rows, a->mixed, gathered.rows,
                         m->heads * m->head_dim);
        layer_attend(&gathered, &last, &weights);
        layer_mlp(&gathered, &last, &weights);
    }
}

static void attention_backward(const struct model_run *run, int layer, const struct layer_space *a,
                               const struct layer_params *w, const struct layer_params *dw)
{
    const struct gradient_space *g = &run->space.gradient;
    const struct kernel_attention shape = layer_attention(&run->model->config, layer);
    struct layer_context context = all_rows(run, layer);
    run->ops->attention_backward(g->q, g->k, g->v, g->mixed, a->mixed, a->lse, a->q, a->k, a->v,
                                 &run->packed.batch, &shape, run->space.attention);
    layer_project_backward(&context, a, w, dw, g);
}

/* Back to the rows of the batch: dest[rows[i]] = gathered[i], zero elsewhere. */
static void spread(const struct model_run *run, float *dest, const float *gathered, int cols)
{
    memset(dest, 0, (size_t)run->packed.batch.rows * (size_t)cols * sizeof *dest);
    run->ops->scatter_add(dest, run->space.loss_rows, gathered, run->packed.loss_rows, cols);
}

/* From the gradient of the last layer's output, in gradient.final_in, to that of the first's input,
 * in gradient.stream. */
static void layers_backward(const struct model_run *run, const struct params *gradients)
{
    const struct model_config *m = &run->model->config;
    const struct gradient_space *g = &run->space.gradient;
    for (int i = m->layers - 1; i >= 0; i--) {
        const struct layer_space *a = &run->space.layers[i];
        struct layer_context context = all_rows(run, i);
        struct layer_params weights = layer_params_at(&run->model->params, i);
        if (run->shape.again && i < m->layers - 1) {
            attention_forward(run, i, a, &weights);
            layer_attend(&context, a, &weights);
            layer_mlp(&context, a, &weights);
        }
        struct layer_params weight_gradients = layer_params_at(gradients, i);
        if (i < m->layers - 1) {
            layer_mlp_backward(&context, a, &weights, &weight_gradients, g);
            layer_attend_backward(&context, a, &weights, &weight_gradients, g);
        } else {
            struct layer_context gathered = loss_rows(run);
            struct layer_space last = last_layer(run);
            struct gradient_space last_gradient = *g;
            last_gradient.stream = g->final_in;
            last_gradient.mixed = g->last_mixed;
            layer_mlp_backward(&gathered, &last, &weights, &weight_gradients, &last_gradient);
            layer_attend_backward(&gathered, &last, &weights, &weight_gradients, &last_gradient);
            spread(run, g->stream, g->final_in, m->width);
            spread(run, g->mixed, g->last_mixed, m->heads * m->head_dim);
        }
        attention_backward(run, i, a, &weights, &weight_gradients);
    }
}

/* Loss rows from..from + rows: their logits into the space. */
static void piece_logits(struct model_run *run, int from, int rows)
{
    const struct model_config *m = &run->model->config;
    model_logits(run->model, run->ops, run->space.logits,
                 run->space.final_norm + (size_t)from * (size_t)m->width, rows);
}

static int piece_rows(const struct model_run *run, int from)
{
    const int left = run->packed.loss_rows - from;
    return left < run->shape.piece_rows ? left : run->shape.piece_rows;
}

static void forbid(const uint8_t *allowed, float *logits, int rows, int vocabulary)
{
    for (int row = 0; row < rows; row++, logits += vocabulary) {
        for (int id = 0; id < vocabulary; id++)
            logits[id] -= allowed[id] ? 0.0f : MODEL_FORBIDDEN;
    }
}

/* Show the watcher the loss tokens among `rows` rows; `first` is the number of the first of them.
 * Returns the number of the next. */
static size_t show_logits(const struct model_run *run, int from, int rows, size_t first)
{
    const struct model_space *s = &run->space;
    const int vocabulary = run->model->config.vocabulary;
    for (int row = 0; row < rows; row++) {
        if (s->targets[from + row] < 0) /* padding */
            continue;
        run->watch->on_logits(run->watch->ctx, first++,
                              s->logits + (size_t)row * (size_t)vocabulary, vocabulary,
                              s->lse[from + row], s->targets[from + row]);
    }
    return first;
}

void model_run_watch(struct model_run *run, const struct model_watch *watch)
{
    run->watch = watch;
}

/* Final norm, head and loss, on the loss rows only. */
static void loss_forward(struct model_run *run)
{
    const struct kernel_ops *ops = run->ops;
    const struct model_config *m = &run->model->config;
    struct model_space *s = &run->space;
    const int total = run->packed.loss_rows, C = m->width;
    const float *weight = params_data(model_weights(run->model), TENSOR_FINAL_NORM, -1);
    ops->norm_forward(s->final_norm, s->final_rstd, s->final_in, weight,
                      model_family(m->kind)->norm_base, m->norm_eps, total, C);
    size_t shown = 0;
    for (int from = 0, rows; from < total; from += rows) {
        rows = piece_rows(run, from);
        piece_logits(run, from, rows);
        if (run->watch && run->watch->allowed)
            forbid(run->watch->allowed, s->logits, rows, m->vocabulary);
        ops->loss_forward(s->nats + from, s->lse + from, s->hit + from, s->logits,
                          s->targets + from, rows, m->vocabulary);
        if (run->watch && run->watch->on_logits)
            shown = show_logits(run, from, rows, shown);
    }
}

void model_forward(struct model_run *run, const struct model_sequence *sequences,
                   size_t sequence_count, struct token_score *scores)
{
    struct model_space *s = &run->space;
    run->packed = model_pack(sequences, sequence_count, &run->shape, s);
    run->forward_done = true;
    if (run->packed.loss_rows == 0)
        return;
    if (run->adapter.layers)
        run_adapter_keys(&run->adapter, sequences, sequence_count, &run->packed, s);
    struct layer_context context = all_rows(run, 0);
    model_embed(run->model, &context, s->layers[0].in, s->ids);
    layers_forward(run);
    loss_forward(run);
    for (int row = 0, used = 0; row < run->packed.loss_rows; row++) {
        if (s->targets[row] >= 0)
            scores[used++] = (struct token_score){s->nats[row], s->hit[row]};
    }
}

/* Gradient of the residual stream after the last layer, on the loss rows. */
static void loss_backward(struct model_run *run, double scale, const struct params *gradients)
{
    const struct kernel_ops *ops = run->ops;
    const struct model_config *m = &run->model->config;
    const struct params *p = &run->model->params;
    struct model_space *s = &run->space;
    const struct gradient_space *g = &s->gradient;
    const int total = run->packed.loss_rows, C = m->width, V = m->vocabulary;
    memset(g->final_in, 0, (size_t)total * (size_t)C * sizeof(float));
    for (int from = 0, rows; from < total; from += rows) {
        const size_t offset = (size_t)from * (size_t)C;
        rows = piece_rows(run, from);
        if (rows < total)
            piece_logits(run, from, rows); /* a later piece has overwritten them */
        ops->loss_backward(s->logits, s->lse + from, s->targets + from, scale, rows, V);
        ops->matmul_backward_input(g->final_norm, s->logits, model_head(m, p), rows, C, V, false);
        if (model_head(m, gradients))
            ops->matmul_backward_weight(model_head(m, gradients), s->logits, s->final_norm + offset,
                                        rows, C, V);
        ops->norm_backward(g->final_in + offset, params_data(gradients, TENSOR_FINAL_NORM, -1),
                           g->final_norm, s->final_in + offset,
                           params_data(p, TENSOR_FINAL_NORM, -1), model_family(m->kind)->norm_base,
                           s->final_rstd + from, rows, C);
    }
}

void model_backward(struct model_run *run, double scale, struct params *gradients)
{
    ASSERT(run->shape.training);
    ASSERT(run->forward_done);
    run->forward_done = false; /* the logits become their gradients */
    if (run->packed.loss_rows == 0)
        return;
    loss_backward(run, scale, gradients);
    layers_backward(run, gradients);
    struct layer_context context = all_rows(run, 0);
    layer_embed_backward(&context, params_data(gradients, TENSOR_EMBEDDING, -1), run->space.ids,
                         run->space.gradient.stream);
}
