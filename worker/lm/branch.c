#include "branch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "branch_impl.h"
#include "check.h"
#include "model_family.h"
#include "model_layer.h"
#include "model_rope.h"
#include "model_weights.h"

enum { ROWS_DEFAULT = 512, TEXTS_DEFAULT = 64 };

static size_t cache_row(const struct model_config *m)
{
    return (size_t)m->kv_heads * (size_t)m->head_dim;
}

static float *cache_at(const struct model_config *m, float *block, size_t rows, int layer)
{
    return block + (size_t)layer * rows * cache_row(m);
}

/* ---- memory ---- */

static size_t at_least(size_t value, size_t other)
{
    return value > other ? value : other;
}

static size_t texts_of(const struct branch_capacity *c)
{
    return c->texts > 0 ? c->texts : TEXTS_DEFAULT;
}

/* Rows of a pass: whole blocks, room for a whole prompt and a whole continuation. */
static struct space_shape pass_shape(const struct model_config *m, const struct branch_capacity *c)
{
    size_t rows = c->rows > 0 ? c->rows : ROWS_DEFAULT;
    rows = at_least(rows, at_least(c->prompt_tokens, c->continuation_tokens));
    rows = at_least(rows, texts_of(c));
    const struct model_capacity capacity = {1, rows, rows,
                                            c->prompt_tokens + c->continuation_tokens};
    struct space_shape shape;
    return model_space_shape(m, MODEL_SCORE, &capacity, &shape) ? shape : (struct space_shape){0};
}

size_t branch_bytes(const struct model_config *config, const struct branch_capacity *capacity,
                    bool sampling)
{
    const struct space_shape shape = pass_shape(config, capacity);
    if (shape.rows == 0)
        return SIZE_MAX / 2;
    size_t cached = capacity->prompt_tokens;
    if (sampling)
        cached += texts_of(capacity) * capacity->continuation_tokens;
    return model_space_place(config, &shape, kernel_select(), NULL, NULL) +
           2 * (size_t)config->layers * cached * cache_row(config) * sizeof(float) +
           (size_t)config->vocabulary * sizeof(float) + 3 * (size_t)shape.rows * sizeof(int);
}

static bool allocate(struct branch *b)
{
    const struct model_config *m = model_shape(b->model);
    const size_t rows = (size_t)b->shape.rows;
    const size_t cached = (size_t)m->layers * b->prompt.rows * cache_row(m);
    b->memory = aligned_alloc(64, model_space_place(m, &b->shape, b->ops, NULL, NULL));
    b->own_first = calloc(rows, sizeof *b->own_first);
    b->own_len = calloc(rows, sizeof *b->own_len);
    b->own_row = calloc(rows, sizeof *b->own_row);
    b->prompt.keys = malloc(cached * sizeof *b->prompt.keys);
    b->prompt.values = malloc(cached * sizeof *b->prompt.values);
    b->prompt_logits = malloc((size_t)m->vocabulary * sizeof *b->prompt_logits);
    if (!b->memory || !b->own_first || !b->own_len || !b->own_row || !b->prompt.keys ||
        !b->prompt.values || !b->prompt_logits)
        return false;
    model_space_place(m, &b->shape, b->ops, b->memory, &b->space);
    model_rope_table(m, false, 0, b->shape.positions, b->space.rope);
    if (b->space.rope_local)
        model_rope_table(m, true, 0, b->shape.positions, b->space.rope_local);
    return true;
}

enum err_code branch_new(const struct model *model, const struct branch_capacity *capacity,
                         struct branch **branch_out, struct err *err)
{
    const struct model_config *m = model_shape(model);
    const size_t prompt = capacity->prompt_tokens, longest = capacity->continuation_tokens;
    if (prompt == 0 || longest == 0 || prompt > (size_t)m->context ||
        longest > (size_t)m->context - prompt + 1)
        return err_set(err, ERR_INVALID,
                       "branch: %zu tokens after a prompt of %zu do not fit a context of %d",
                       longest, prompt, m->context);
    struct branch *b = calloc(1, sizeof *b);
    if (!b)
        return err_set(err, ERR_LIMIT, "branch: no memory");
    b->model = model;
    b->ops = kernel_select();
    b->shape = pass_shape(m, capacity);
    b->prompt.rows = prompt;
    b->prompt_max = (int)prompt;
    b->continuation_max = (int)longest;
    b->text_slots = (int)texts_of(capacity);
    if (b->shape.rows == 0 || !allocate(b)) {
        branch_free(b);
        return err_set(err, ERR_LIMIT, "branch: no memory for %zu bytes",
                       branch_bytes(m, capacity, false));
    }
    *branch_out = b;
    return ERR_OK;
}

void branch_free(struct branch *branch)
{
    if (!branch)
        return;
    free(branch->texts.values);
    free(branch->texts.keys);
    free(branch->prompt_logits);
    free(branch->prompt.values);
    free(branch->prompt.keys);
    free(branch->own_row);
    free(branch->own_len);
    free(branch->own_first);
    free(branch->memory);
    free(branch);
}

static enum err_code branch_check_ids(const struct model_config *config, const int32_t *ids,
                                      size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= config->vocabulary)
            return err_set(err, ERR_INVALID, "branch: token id %d is outside the vocabulary of %d",
                           ids[i], config->vocabulary);
    }
    return ERR_OK;
}

/* ---- passes ---- */

static struct layer_context context_of(const struct branch *b, int layer, int rows)
{
    const bool windowed = model_layer_is_windowed(model_shape(b->model), layer);
    return (struct layer_context){
        .ops = b->ops,
        .config = model_shape(b->model),
        .rows = rows,
        .positions = b->space.positions,
        .rope = windowed ? b->space.rope_local : b->space.rope,
    };
}

int branch_used_rows(const struct branch *b, int rows)
{
    return b->ops->matmul_part ? kernel_rows_padded(rows) : rows;
}

/* Fill the last block up and look up the embeddings; returns the padded number of rows. */
static int start_pass(struct branch *b, int rows)
{
    const int padded = kernel_rows_padded(rows);
    ASSERT(padded <= b->shape.rows);
    for (int row = rows; row < padded; row++) {
        b->space.ids[row] = b->own_row[row] = -1;
        b->space.positions[row] = b->own_first[row] = b->own_len[row] = 0;
    }
    const struct layer_context context = context_of(b, 0, padded);
    model_embed(b->model, &context, b->space.layers[0].in, b->space.ids);
    return padded;
}

/* The keys and values of a layer's rows into the texts' cache. */
static void keep_rows(const struct branch *b, const struct layer_space *a, int rows, float *keys,
                      float *values)
{
    const size_t width = cache_row(model_shape(b->model));
    for (int row = 0; row < rows; row++) {
        if (b->own_row[row] < 0)
            continue;
        const size_t to = (size_t)b->own_row[row] * width, from = (size_t)row * width;
        memcpy(keys + to, a->k + from, width * sizeof *keys);
        memcpy(values + to, a->v + from, width * sizeof *values);
    }
}

void branch_pass(struct branch *b, int rows, const struct branch_cache *cache)
{
    const struct model_config *m = model_shape(b->model);
    const int padded = start_pass(b, rows), used = branch_used_rows(b, rows);
    const struct kernel_branch branch = {padded, b->prompt_count, b->own_first, b->own_len};
    for (int i = 0; i < m->layers; i++) {
        const struct layer_space *a = &b->space.layers[i];
        const struct layer_params weights = model_layer(b->model, b->ops, i);
        const struct layer_context context = context_of(b, i, used);
        const struct kernel_attention shape = layer_attention(m, i);
        const float *keys = a->k, *values = a->v;
        layer_project(&context, a, &weights);
        if (cache) {
            keys = cache_at(m, cache->keys, cache->rows, i);
            values = cache_at(m, cache->values, cache->rows, i);
            keep_rows(b, a, rows, cache_at(m, cache->keys, cache->rows, i),
                      cache_at(m, cache->values, cache->rows, i));
        }
        memset(a->q + (size_t)used * (size_t)(m->heads * m->head_dim), 0,
               (size_t)(padded - used) * (size_t)(m->heads * m->head_dim) * sizeof *a->q);
        b->ops->attention_branch(a->mixed, a->q, cache_at(m, b->prompt.keys, b->prompt.rows, i),
                                 cache_at(m, b->prompt.values, b->prompt.rows, i), keys, values,
                                 &branch, &shape, b->space.attention);
        layer_attend(&context, a, &weights);
        layer_mlp(&context, a, &weights);
    }
}

void branch_logits_of(struct branch *b, int from, int rows)
{
    const struct model_config *m = model_shape(b->model);
    const struct params *p = model_weights(b->model);
    const struct model_space *s = &b->space;
    ASSERT(rows <= b->shape.piece_rows);
    b->ops->norm_forward(s->final_norm, s->final_rstd,
                         s->layers[m->layers - 1].out + (size_t)from * (size_t)m->width,
                         params_data(p, TENSOR_FINAL_NORM, -1), model_family(m->kind)->norm_base,
                         m->norm_eps, rows, m->width);
    model_logits(b->model, b->ops, s->logits, s->final_norm, rows);
}

/* ---- prompt ---- */

/* The prompt as the one sequence of a batch. */
static int pack_prompt(struct branch *b, const int32_t *ids, int count)
{
    struct model_space *s = &b->space;
    for (int i = 0; i < count; i++) {
        s->ids[i] = ids[i];
        s->positions[i] = i;
    }
    s->start[0] = 0;
    s->len[0] = count;
    for (int row = 0; row < KERNEL_ROW_BLOCK; row++)
        s->loss_rows[row] = row == 0 ? count - 1 : -1;
    return start_pass(b, count);
}

/* Attention of the prompt in layer `i`, whose keys and values are kept. */
static void prompt_attention(struct branch *b, const struct layer_context *context, int i,
                             const struct layer_params *weights)
{
    const struct model_config *m = context->config;
    const struct layer_space *a = &b->space.layers[i];
    const struct kernel_attention shape = layer_attention(m, i);
    const struct kernel_batch batch = {1, context->rows, b->space.start, b->space.len};
    const int count = b->space.len[0];
    const size_t bytes = (size_t)count * cache_row(m) * sizeof(float);
    const size_t row_floats = (size_t)(m->heads * m->head_dim);
    layer_project(context, a, weights);
    memcpy(cache_at(m, b->prompt.keys, b->prompt.rows, i), a->k, bytes);
    memcpy(cache_at(m, b->prompt.values, b->prompt.rows, i), a->v, bytes);
    b->ops->attention_forward(a->mixed, a->lse, a->q, a->k, a->v, &batch, &shape,
                              b->space.attention);
    memset(a->mixed + (size_t)count * row_floats, 0,
           (size_t)(context->rows - count) * row_floats * sizeof(float));
}

/* Of the last layer only the last row is needed behind the attention. */
static void finish_prompt(struct branch *b, const struct layer_params *weights)
{
    const struct model_config *m = model_shape(b->model);
    const struct model_space *s = &b->space;
    const struct layer_context context = context_of(b, m->layers - 1, KERNEL_ROW_BLOCK);
    struct layer_space last = s->layers[m->layers - 1];
    b->ops->gather(s->last_in, s->loss_rows, last.in, KERNEL_ROW_BLOCK, m->width);
    b->ops->gather(s->last_mixed, s->loss_rows, last.mixed, KERNEL_ROW_BLOCK,
                   m->heads * m->head_dim);
    last.in = s->last_in;
    last.mixed = s->last_mixed;
    layer_attend(&context, &last, weights);
    layer_mlp(&context, &last, weights);
    branch_logits_of(b, 0, KERNEL_ROW_BLOCK);
}

/* Log-sum-exp and best token of the first row of logits, by the same operation as every other
 * loss. */
static void keep_prompt_logits(struct branch *b)
{
    const int vocabulary = model_shape(b->model)->vocabulary;
    struct model_space *s = &b->space;
    memcpy(b->prompt_logits, s->logits, (size_t)vocabulary * sizeof(float));
    int32_t best = 0;
    for (int32_t id = 1; id < vocabulary; id++)
        best = s->logits[id] > s->logits[best] ? id : best;
    for (int row = 0; row < KERNEL_ROW_BLOCK; row++)
        s->targets[row] = row == 0 ? best : -1;
    b->ops->loss_forward(s->nats, s->lse, s->hit, s->logits, s->targets, KERNEL_ROW_BLOCK,
                         vocabulary);
    b->prompt_lse = s->lse[0];
    b->prompt_best = s->hit[0] ? best : -1;
}

enum err_code branch_prompt(struct branch *b, const int32_t *ids, size_t count, struct err *err)
{
    const struct model_config *m = model_shape(b->model);
    if (count == 0 || count > (size_t)b->prompt_max)
        return err_set(err, ERR_LIMIT, "branch: a prompt of %zu tokens, but room for %d", count,
                       b->prompt_max);
    enum err_code rc = branch_check_ids(m, ids, count, err);
    if (rc != ERR_OK)
        return rc;
    const int rows = pack_prompt(b, ids, (int)count);
    for (int i = 0; i < m->layers; i++) {
        const struct layer_context context = context_of(b, i, rows);
        const struct layer_params weights = model_layer(b->model, b->ops, i);
        prompt_attention(b, &context, i, &weights);
        if (i == m->layers - 1) {
            finish_prompt(b, &weights);
            break;
        }
        layer_attend(&context, &b->space.layers[i], &weights);
        layer_mlp(&context, &b->space.layers[i], &weights);
    }
    keep_prompt_logits(b);
    b->prompt_count = (int)count;
    return ERR_OK;
}

const float *branch_logits(const struct branch *branch)
{
    ASSERT(branch->prompt_count > 0);
    return branch->prompt_logits;
}

/* ---- candidates ---- */

static enum err_code check_candidates(const struct branch *b,
                                      const struct branch_candidate *candidates, size_t count,
                                      struct err *err)
{
    for (size_t c = 0; c < count; c++) {
        if (candidates[c].count == 0 || candidates[c].count > (size_t)b->continuation_max)
            return err_set(err, ERR_INVALID,
                           "branch: candidate %zu has %zu tokens, but 1 … %d are possible", c,
                           candidates[c].count, b->continuation_max);
        enum err_code rc =
            branch_check_ids(model_shape(b->model), candidates[c].ids, candidates[c].count, err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static void sum_add(struct branch_sum *sum, const struct token_score *score)
{
    sum->nats += score->nats;
    sum->hit = sum->hit && score->hit;
}

/* The first token needs no pass: the prompt's logits give it. */
static struct token_score first_score(const struct branch *b, int32_t id)
{
    return (struct token_score){b->prompt_lse - (double)b->prompt_logits[id], id == b->prompt_best};
}

/* Rows of a candidate: every token but the last, which is only predicted. */
static int pack_candidate(struct branch *b, const struct branch_candidate *candidate, int first)
{
    struct model_space *s = &b->space;
    const int rows = (int)candidate->count - 1;
    for (int i = 0; i < rows; i++) {
        s->ids[first + i] = candidate->ids[i];
        s->positions[first + i] = b->prompt_count + i;
        s->targets[first + i] = candidate->ids[i + 1];
        b->own_first[first + i] = first;
        b->own_len[first + i] = i + 1;
        b->own_row[first + i] = -1;
    }
    return first + rows;
}

/* Losses of the rows of a pass, in space.nats and space.hit. */
static void pass_losses(struct branch *b, int rows)
{
    const int vocabulary = model_shape(b->model)->vocabulary;
    struct model_space *s = &b->space;
    const int used = branch_used_rows(b, rows);
    for (int row = rows; row < used; row++)
        s->targets[row] = -1;
    for (int from = 0; from < used; from += b->shape.piece_rows) {
        const int left = used - from;
        const int piece = left < b->shape.piece_rows ? left : b->shape.piece_rows;
        branch_logits_of(b, from, piece);
        b->ops->loss_forward(s->nats + from, s->lse + from, s->hit + from, s->logits,
                             s->targets + from, piece, vocabulary);
    }
}

/* Candidates `first` … `end` - 1 in one pass. */
static void score_pass(struct branch *b, const struct branch_candidate *candidates, size_t first,
                       size_t end, struct branch_sum *sums, struct token_score **scores)
{
    int rows = 0;
    for (size_t c = first; c < end; c++)
        rows = pack_candidate(b, &candidates[c], rows);
    if (rows > 0) {
        branch_pass(b, rows, NULL);
        pass_losses(b, rows);
    }
    int row = 0;
    for (size_t c = first; c < end; c++) {
        for (size_t i = 0; i < candidates[c].count; i++) {
            struct token_score score = first_score(b, candidates[c].ids[0]);
            if (i == 0) {
                sums[c] = (struct branch_sum){.first_hit = score.hit, .hit = true};
            } else {
                score = (struct token_score){b->space.nats[row], b->space.hit[row]};
                row++;
            }
            sum_add(&sums[c], &score);
            if (*scores)
                *(*scores)++ = score;
        }
    }
}

enum err_code branch_score(struct branch *b, const struct branch_candidate *candidates,
                           size_t count, struct branch_sum *sums, struct token_score *scores,
                           struct err *err)
{
    ASSERT(b->prompt_count > 0);
    enum err_code rc = check_candidates(b, candidates, count, err);
    if (rc != ERR_OK)
        return rc;
    for (size_t first = 0, end; first < count; first = end) {
        size_t rows = candidates[first].count - 1;
        for (end = first + 1; end < count; end++) {
            if (rows + candidates[end].count - 1 > (size_t)b->shape.rows)
                break;
            rows += candidates[end].count - 1;
        }
        score_pass(b, candidates, first, end, sums, &scores);
    }
    return ERR_OK;
}
