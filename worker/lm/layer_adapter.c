#include "layer_adapter.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

/* ---- dropout: a function of sequence, position, layer, target and channel alone, so that it is
 * the same however sequences are batched, and again when activations are recomputed ---- */

/* The finalizer of SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

#define GOLDEN_RATIO 0x9e3779b97f4a7c15u

/* out = in, with each element left out with probability `dropout` or divided by 1 - dropout. May
 * work in place. */
static void drop(const struct layer_context *context, enum adapter_target target, float *out,
                 const float *in, int N, int C)
{
    const struct layer_adapter *l = context->adapter;
    const uint64_t site = mix((uint64_t)l->layer * ADAPTER_TARGET_COUNT + (uint64_t)target + 1);
    const uint64_t threshold = (uint64_t)(l->dropout * 16777216.0); /* of 24 bits */
    const float kept = (float)(1.0 / (1.0 - l->dropout));
    for (int n = 0; n < N; n++) {
        const size_t row = (size_t)n * (size_t)C;
        const uint64_t key = mix(context->row_keys[n] ^ site);
        for (int c = 0; c < C; c++) {
            bool keeps = mix(key + (uint64_t)c * GOLDEN_RATIO) >> 40 >= threshold;
            out[row + (size_t)c] = keeps ? kept * in[row + (size_t)c] : 0.0f;
        }
    }
}

/* What A sees. */
static const float *seen(const struct layer_context *context, enum adapter_target target,
                         const float *in, int N, int C)
{
    const struct layer_adapter *l = context->adapter;
    if (!l->wide)
        return in;
    drop(context, target, l->wide, in, N, C);
    return l->wide;
}

/* low = scale * A x */
static void project_low(const struct layer_context *context, const struct adapter_pair *pair,
                        const float *x, int N, int C)
{
    const struct layer_adapter *l = context->adapter;
    context->ops->matmul_forward(l->low, x, pair->a, N, C, l->rank);
    context->ops->scale(l->low, l->scale, (size_t)N * (size_t)l->rank);
}

/* ---- projections ---- */

void linear_forward(const struct layer_context *context, enum adapter_target target, float *out,
                    const float *in, const float *w, const void *stored, int N, int C, int O)
{
    const struct layer_adapter *l = context->adapter;
    if (stored)
        context->ops->matmul_forward_stored(out, in, stored, N, C, O);
    else
        context->ops->matmul_forward(out, in, w, N, C, O);
    if (!l || !l->weights[target].a)
        return;
    const struct adapter_pair *pair = &l->weights[target];
    project_low(context, pair, seen(context, target, in, N, C), N, C);
    /* out += low * b: the product that backward passes have for inputs. */
    context->ops->matmul_backward_input(out, l->low, pair->b, N, O, l->rank, true);
}

void linear_backward(const struct layer_context *context, enum adapter_target target,
                     float *grad_in, bool add, const float *grad_out, const float *in,
                     const float *w, float *dw, int N, int C, int O)
{
    const struct kernel_ops *ops = context->ops;
    const struct layer_adapter *l = context->adapter;
    ops->matmul_backward_input(grad_in, grad_out, w, N, C, O, add);
    if (dw)
        ops->matmul_backward_weight(dw, grad_out, in, N, C, O);
    if (!l || !l->weights[target].a)
        return;
    const struct adapter_pair *pair = &l->weights[target], *gradients = &l->gradients[target];
    const int R = l->rank;
    const float *x = seen(context, target, in, N, C);
    project_low(context, pair, x, N, C);
    ops->matmul_backward_weight(gradients->b, l->low, grad_out, N, O, R);
    ops->matmul_forward(l->low_grad, grad_out, pair->b, N, O, R);
    ops->scale(l->low_grad, l->scale, (size_t)N * (size_t)R);
    ops->matmul_backward_weight(gradients->a, l->low_grad, x, N, C, R);
    if (!l->wide) {
        ops->matmul_backward_input(grad_in, l->low_grad, pair->a, N, C, R, true);
        return;
    }
    ops->matmul_backward_input(l->wide, l->low_grad, pair->a, N, C, R, false);
    drop(context, target, l->wide, l->wide, N, C);
    ops->add(grad_in, l->wide, (size_t)N * (size_t)C);
}

/* ---- memory of a run ---- */

enum { ALIGNMENT_BYTES = 64 };

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
}

/* Sizes in bytes of the arrays of a run, each aligned. */
struct layout {
    size_t low, wide, keys, loss_keys, all;
};

static struct layout layout_of(const struct adapter_config *adapter,
                               const struct model_config *config, const struct space_shape *shape)
{
    int widest = config->width > config->mlp_width ? config->width : config->mlp_width;
    const int query = config->heads * config->head_dim;
    widest = widest > query ? widest : query;
    const size_t rows = (size_t)shape->rows;
    struct layout layout = {
        .low = aligned(rows * (size_t)adapter->rank * sizeof(float)),
        .wide = adapter->dropout > 0 ? aligned(rows * (size_t)widest * sizeof(float)) : 0,
        .keys = aligned(rows * sizeof(uint64_t)),
        .loss_keys = aligned((size_t)shape->loss_rows * sizeof(uint64_t)),
    };
    layout.all = 2 * layout.low + layout.wide + layout.keys + layout.loss_keys;
    return layout;
}

size_t run_adapter_bytes(const struct adapter_config *adapter, const struct model_config *config,
                         const struct space_shape *shape)
{
    return layout_of(adapter, config, shape).all;
}

enum err_code run_adapter_init(struct run_adapter *run, const struct adapter *adapter,
                               const struct params *gradients, const struct model_config *config,
                               const struct space_shape *shape, struct err *err)
{
    const struct layout layout = layout_of(&adapter->config, config, shape);
    char *memory = aligned_alloc(ALIGNMENT_BYTES, layout.all);
    struct layer_adapter *layers = calloc((size_t)config->layers, sizeof *layers);
    if (!memory || !layers) {
        free(memory);
        free(layers);
        return err_set(err, ERR_LIMIT, "run a model with an adapter: no memory for %zu bytes",
                       layout.all);
    }
    *run = (struct run_adapter){.layers = layers, .memory = memory};
    float *low = (float *)(void *)memory, *low_grad = (float *)(void *)(memory + layout.low);
    char *wide = memory + 2 * layout.low;
    run->row_keys = (uint64_t *)(void *)(wide + layout.wide);
    run->loss_row_keys = (uint64_t *)(void *)(wide + layout.wide + layout.keys);
    for (int i = 0; i < config->layers; i++) {
        layers[i] = (struct layer_adapter){
            .layer = i,
            .rank = adapter->config.rank,
            .scale = adapter->scale,
            .dropout = adapter->config.dropout,
            .low = low,
            .low_grad = low_grad,
            .wide = layout.wide > 0 ? (float *)(void *)wide : NULL,
        };
        for (int t = 0; t < ADAPTER_TARGET_COUNT; t++) {
            const enum adapter_target target = (enum adapter_target)t;
            layers[i].weights[t] = adapter_pair_at(adapter, &adapter->own, i, target);
            layers[i].gradients[t] = adapter_pair_at(adapter, gradients, i, target);
        }
    }
    return ERR_OK;
}

void run_adapter_release(struct run_adapter *run)
{
    free(run->layers);
    free(run->memory);
    *run = (struct run_adapter){0};
}

void run_adapter_keys(struct run_adapter *run, const struct model_sequence *sequences, size_t count,
                      const struct packed *packed, const struct model_space *space)
{
    int packed_sequence = 0;
    memset(run->row_keys, 0, (size_t)packed->batch.rows * sizeof *run->row_keys);
    for (size_t i = 0; i < count; i++) {
        if (sequences[i].count == 1)
            continue; /* takes no row (model_pack.h) */
        const int start = packed->batch.start[packed_sequence];
        for (int t = 0; t < packed->batch.len[packed_sequence]; t++)
            run->row_keys[start + t] = mix(sequences[i].key + (uint64_t)t * GOLDEN_RATIO);
        packed_sequence++;
    }
    for (int i = 0; i < packed->loss_rows; i++) {
        const int32_t row = space->loss_rows[i];
        run->loss_row_keys[i] = row < 0 ? 0 : run->row_keys[row];
    }
}
