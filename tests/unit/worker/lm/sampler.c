#include "sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernels.h"
#include "model_family.h"
#include "model_layer.h"
#include "model_rope.h"
#include "model_space.h"
#include "model_weights.h"

/* Keys and values of the tokens that a layer still sees: of position t in row t % limit. Grows with
 * the text up to `limit` rows: the context, or a window and a block. */
struct layer_cache {
    float *keys; /* [rows][kv_heads * head_dim], rotated */
    float *values;
    int rows, limit;
};

struct sampler {
    const struct model *model; /* borrowed */
    const struct kernel_ops *ops;
    struct sample_options options;
    struct rng rng;
    struct space_shape shape; /* one block of rows */
    struct model_space space;
    void *memory;               /* what `space` points into */
    struct layer_cache *caches; /* [layers] */
    float *rope;                /* [one block][head_dim]: of the rows being fed */
    float *rope_local;          /* the same for windowed layers */
    int32_t *rope_rows;         /* [one block] the row of `rope` that a row turns by: its own */
    double *weights;            /* [context] attention of one head of one row */
    double *sums;               /* [head_dim] its weighted values */
    struct sample_weight *work;
    int used; /* tokens fed */
};

static size_t cache_row(const struct model_config *m)
{
    return (size_t)m->kv_heads * (size_t)m->head_dim;
}

static void release_caches(struct sampler *s)
{
    for (int i = 0; s->caches && i < model_shape(s->model)->layers; i++) {
        free(s->caches[i].keys);
        free(s->caches[i].values);
    }
    free(s->caches);
}

static bool resize(float **block, size_t floats)
{
    float *grown = realloc(*block, floats * sizeof **block);
    *block = grown ? grown : *block;
    return grown != NULL;
}

/* Room for `count` tokens in all caches. Rows only wrap around once a cache has all its rows, so
 * what is there stays where it is. */
static enum err_code reserve(struct sampler *s, int count, struct err *err)
{
    const struct model_config *m = model_shape(s->model);
    for (int i = 0; i < m->layers; i++) {
        struct layer_cache *cache = &s->caches[i];
        const int needed = count < cache->limit ? count : cache->limit;
        if (needed <= cache->rows)
            continue;
        const int doubled = cache->rows < cache->limit / 2 ? 2 * cache->rows : cache->limit;
        const int rows = needed > doubled ? needed : doubled;
        const size_t floats = (size_t)rows * cache_row(m);
        if (!resize(&cache->keys, floats) || !resize(&cache->values, floats))
            return err_set(err, ERR_LIMIT, "sample: no memory for the keys and values of %d tokens",
                           rows);
        cache->rows = rows;
    }
    return ERR_OK;
}

static bool allocate(struct sampler *s)
{
    const struct model_config *m = model_shape(s->model);
    s->shape = (struct space_shape){
        .rows = KERNEL_ROW_BLOCK,
        .loss_rows = KERNEL_ROW_BLOCK,
        .piece_rows = KERNEL_ROW_BLOCK,
        .sequences = 1,
        .positions = KERNEL_ROW_BLOCK,
    };
    size_t bytes = model_space_place(m, &s->shape, s->ops, NULL, NULL);
    s->memory = aligned_alloc(64, bytes);
    s->caches = calloc((size_t)m->layers, sizeof *s->caches);
    s->rope = calloc((size_t)KERNEL_ROW_BLOCK * (size_t)m->head_dim, sizeof *s->rope);
    s->rope_local = calloc((size_t)KERNEL_ROW_BLOCK * (size_t)m->head_dim, sizeof *s->rope_local);
    s->rope_rows = calloc(KERNEL_ROW_BLOCK, sizeof *s->rope_rows);
    s->weights = calloc((size_t)m->context, sizeof *s->weights);
    s->sums = calloc((size_t)m->head_dim, sizeof *s->sums);
    s->work = calloc((size_t)m->vocabulary, sizeof *s->work);
    if (!s->memory || !s->caches || !s->rope || !s->rope_local || !s->rope_rows || !s->weights ||
        !s->sums || !s->work)
        return false;
    model_space_place(m, &s->shape, s->ops, s->memory, &s->space);
    for (int row = 0; row < KERNEL_ROW_BLOCK; row++)
        s->rope_rows[row] = row;
    for (int i = 0; i < m->layers; i++) {
        /* The first row of a block sees window - 1 tokens before it while the last is in place. */
        const bool windowed = model_layer_is_windowed(m, i);
        const int seen = windowed ? m->window - 1 + KERNEL_ROW_BLOCK : m->context;
        s->caches[i].limit = seen < m->context ? seen : m->context;
    }
    return true;
}

enum err_code sampler_new(const struct model *model, const struct sample_options *options,
                          struct sampler **sampler_out, struct err *err)
{
    enum err_code rc = sample_options_check(options, err);
    if (rc != ERR_OK)
        return rc;
    struct sampler *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, ERR_LIMIT, "sample: no memory");
    s->model = model;
    s->ops = kernel_select();
    s->options = *options;
    s->rng = rng_new(options->seed, "sample");
    if (!allocate(s)) {
        sampler_free(s);
        return err_set(err, ERR_LIMIT, "sample: no memory for a context of %d tokens",
                       model_shape(model)->context);
    }
    *sampler_out = s;
    return ERR_OK;
}

void sampler_free(struct sampler *sampler)
{
    if (!sampler)
        return;
    free(sampler->work);
    free(sampler->sums);
    free(sampler->weights);
    free(sampler->rope_rows);
    free(sampler->rope_local);
    free(sampler->rope);
    release_caches(sampler);
    free(sampler->memory);
    free(sampler);
}

/* Attention of one head of one row over what position `position` sees in the cache, in double. */
static void mix_head(const struct sampler *s, int layer, int position, int key_head,
                     const float *query, float *mixed)
{
    const struct model_config *m = model_shape(s->model);
    const struct kernel_attention shape = layer_attention(m, layer);
    const struct layer_cache *cache = &s->caches[layer];
    const int D = m->head_dim;
    const int begin =
        shape.window > 0 && position >= shape.window ? position - shape.window + 1 : 0;
    const float *keys = cache->keys + (size_t)key_head * (size_t)D;
    const float *values = cache->values + (size_t)key_head * (size_t)D;
    double highest = -(double)INFINITY, total = 0;
    for (int t = begin; t <= position; t++) {
        const float *key = keys + (size_t)(t % cache->limit) * cache_row(m);
        double dot = 0;
        for (int d = 0; d < D; d++)
            dot += (double)query[d] * (double)key[d];
        s->weights[t] = dot * shape.scale;
        highest = fmax(highest, s->weights[t]);
    }
    double *sums = s->sums;
    memset(sums, 0, (size_t)D * sizeof *sums);
    for (int t = begin; t <= position; t++) {
        const float *value = values + (size_t)(t % cache->limit) * cache_row(m);
        const double weight = exp(s->weights[t] - highest);
        total += weight;
        for (int d = 0; d < D; d++)
            sums[d] += weight * (double)value[d];
    }
    for (int d = 0; d < D; d++)
        mixed[d] = (float)(sums[d] / total);
}

/* Attention of `count` new rows, whose keys and values go into the cache first. */
static void mix(struct sampler *s, const struct layer_space *a, int layer, int count)
{
    const struct model_config *m = model_shape(s->model);
    const int D = m->head_dim, query_cols = m->heads * D, group = m->heads / m->kv_heads;
    const size_t row_floats = cache_row(m);
    struct layer_cache *cache = &s->caches[layer];
    for (int row = 0; row < count; row++) {
        const size_t to = (size_t)((s->used + row) % cache->limit) * row_floats;
        const size_t from = (size_t)row * row_floats;
        memcpy(cache->keys + to, a->k + from, row_floats * sizeof(float));
        memcpy(cache->values + to, a->v + from, row_floats * sizeof(float));
    }
    memset(a->mixed, 0, (size_t)s->shape.rows * (size_t)query_cols * sizeof(float));
    for (int row = 0; row < count; row++) {
        for (int head = 0; head < m->heads; head++) {
            const size_t at = (size_t)row * (size_t)query_cols + (size_t)head * (size_t)D;
            mix_head(s, layer, s->used + row, head / group, a->q + at, a->mixed + at);
        }
    }
}

/* Logits of the token that follows the last of `count` rows. */
static void last_logits(struct sampler *s, const float *stream, int count)
{
    const struct model_config *m = model_shape(s->model);
    const struct params *p = model_weights(s->model);
    struct model_space *space = &s->space;
    for (int row = 0; row < s->shape.rows; row++)
        space->loss_rows[row] = row == 0 ? count - 1 : -1;
    s->ops->gather(space->final_in, space->loss_rows, stream, s->shape.rows, m->width);
    s->ops->norm_forward(space->final_norm, space->final_rstd, space->final_in,
                         params_data(p, TENSOR_FINAL_NORM, -1), model_family(m->kind)->norm_base,
                         m->norm_eps, s->shape.rows, m->width);
    model_logits(s->model, s->ops, space->logits, space->final_norm, s->shape.rows);
}

/* At most one block of rows. */
static void feed_block(struct sampler *s, const int32_t *ids, int count)
{
    const struct model_config *m = model_shape(s->model);
    struct model_space *space = &s->space;
    struct layer_context context = {.ops = s->ops,
                                    .config = m,
                                    .rows = s->shape.rows,
                                    .positions = s->rope_rows,
                                    .rope = s->rope};
    model_rope_table(m, false, s->used, count, s->rope);
    if (m->window > 0)
        model_rope_table(m, true, s->used, count, s->rope_local);
    for (int row = 0; row < s->shape.rows; row++)
        space->ids[row] = row < count ? ids[row] : -1;
    model_embed(s->model, &context, space->layers[0].in, space->ids);
    for (int i = 0; i < m->layers; i++) {
        struct layer_params weights = model_layer(s->model, s->ops, i);
        context.rope = model_layer_is_windowed(m, i) ? s->rope_local : s->rope;
        layer_project(&context, &space->layers[i], &weights);
        mix(s, &space->layers[i], i, count);
        layer_attend(&context, &space->layers[i], &weights);
        layer_mlp(&context, &space->layers[i], &weights);
    }
    last_logits(s, space->layers[m->layers - 1].out, count);
    s->used += count;
}

enum err_code sampler_feed(struct sampler *sampler, const int32_t *ids, size_t count,
                           struct err *err)
{
    const struct model_config *m = model_shape(sampler->model);
    if (count > (size_t)(m->context - sampler->used))
        return err_set(err, ERR_LIMIT, "sample: %zu tokens after %d do not fit a context of %d",
                       count, sampler->used, m->context);
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= m->vocabulary)
            return err_set(err, ERR_INVALID, "sample: token id %d is outside the vocabulary of %d",
                           ids[i], m->vocabulary);
    }
    enum err_code rc = reserve(sampler, sampler->used + (int)count, err);
    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; i < count; i += KERNEL_ROW_BLOCK) {
        size_t left = count - i;
        feed_block(sampler, ids + i, left < KERNEL_ROW_BLOCK ? (int)left : KERNEL_ROW_BLOCK);
    }
    return ERR_OK;
}

int32_t sampler_choose(struct sampler *sampler)
{
    ASSERT(sampler->used > 0);
    return sample_draw(sampler->space.logits, model_shape(sampler->model)->vocabulary,
                       &sampler->options, &sampler->rng, sampler->work);
}

const float *sampler_logits(const struct sampler *sampler)
{
    ASSERT(sampler->used > 0);
    return sampler->space.logits;
}
