#include "model_space.h"

#include <limits.h>
#include <string.h>

#include "check.h"
#include "model_family.h"

/* Logits of this many bytes at most are held at once: with 1,000 tokens in the vocabulary those of
 * a whole batch (and the backward pass finds them still there), with 262,144 those of 256 rows. */
#define LOGITS_BYTES_MAX ((size_t)256 * 1024 * 1024)

enum { ALIGNMENT_BYTES = 64 };

/* Hands out pieces of a block one after the other; counts only when `base` is NULL. */
struct carver {
    char *base;
    size_t used;
};

static void *carve(struct carver *c, size_t count, size_t element_bytes)
{
    void *piece = c->base ? c->base + c->used : NULL;
    size_t bytes = count * element_bytes;
    c->used += (bytes + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
    return piece;
}

static float *carve_floats(struct carver *c, int rows, int cols)
{
    return carve(c, (size_t)rows * (size_t)cols, sizeof(float));
}

/* Whole blocks for `tokens` spread over `sequences`, each of which may waste most of a block; 0
 * when an int cannot hold the number. */
static int rows_for(size_t tokens, size_t sequences)
{
    const size_t rows_max = INT_MAX - KERNEL_ROW_BLOCK;
    if (tokens > rows_max || sequences > (rows_max - tokens) / KERNEL_ROW_BLOCK)
        return 0;
    return kernel_rows_padded((int)(tokens + sequences * (KERNEL_ROW_BLOCK - 1)));
}

bool model_space_shape(const struct model_config *config, enum model_purpose purpose,
                       const struct model_capacity *capacity, struct space_shape *shape_out)
{
    struct space_shape shape = {
        .rows = rows_for(capacity->tokens, capacity->sequences),
        .loss_rows = rows_for(capacity->loss_tokens, capacity->sequences),
        .training = purpose != MODEL_SCORE,
        .again = purpose == MODEL_TRAIN_AGAIN,
    };
    /* Norms of heads have a row per row and head. */
    if (shape.rows == 0 || shape.loss_rows == 0 || shape.rows > INT_MAX / config->heads)
        return false;
    shape.sequences = (int)capacity->sequences;
    shape.positions = (int)capacity->sequence_tokens;
    size_t row_bytes = (size_t)config->vocabulary * sizeof(float);
    size_t blocks = LOGITS_BYTES_MAX / (KERNEL_ROW_BLOCK * row_bytes);
    size_t piece = (blocks > 0 ? blocks : 1) * KERNEL_ROW_BLOCK;
    shape.piece_rows = piece < (size_t)shape.loss_rows ? (int)piece : shape.loss_rows;
    *shape_out = shape;
    return true;
}

static void place_batch(struct carver *c, const struct space_shape *s, struct model_space *out)
{
    out->ids = carve(c, (size_t)s->rows, sizeof *out->ids);
    out->positions = carve(c, (size_t)s->rows, sizeof *out->positions);
    out->start = carve(c, (size_t)s->sequences, sizeof *out->start);
    out->len = carve(c, (size_t)s->sequences, sizeof *out->len);
    out->loss_rows = carve(c, (size_t)s->loss_rows, sizeof *out->loss_rows);
    out->targets = carve(c, (size_t)s->loss_rows, sizeof *out->targets);
    out->nats = carve(c, (size_t)s->loss_rows, sizeof *out->nats);
    out->lse = carve(c, (size_t)s->loss_rows, sizeof *out->lse);
    out->hit = carve(c, (size_t)s->loss_rows, sizeof *out->hit);
}

/* What only some families need. */
static void place_norms(struct carver *c, const struct model_config *m, int rows,
                        struct layer_space *out)
{
    if (model_family(m->kind)->head_norms) {
        out->q_in = carve_floats(c, rows, m->heads * m->head_dim);
        out->k_in = carve_floats(c, rows, m->kv_heads * m->head_dim);
        out->q_rstd = carve_floats(c, rows, m->heads);
        out->k_rstd = carve_floats(c, rows, m->kv_heads);
    }
    if (model_family(m->kind)->branch_norms) {
        out->attn_add = carve_floats(c, rows, m->width);
        out->attn_add_rstd = carve_floats(c, rows, 1);
        out->mlp_add = carve_floats(c, rows, m->width);
        out->mlp_add_rstd = carve_floats(c, rows, 1);
    }
}

static struct layer_space place_layer(struct carver *c, const struct model_config *m, int rows)
{
    const int query = m->heads * m->head_dim;
    const int key = m->kv_heads * m->head_dim;
    struct layer_space layer = {
        .attn_norm = carve_floats(c, rows, m->width),
        .attn_rstd = carve_floats(c, rows, 1),
        .q = carve_floats(c, rows, query),
        .k = carve_floats(c, rows, key),
        .v = carve_floats(c, rows, key),
        .mixed = carve_floats(c, rows, query),
        .lse = carve_floats(c, rows, m->heads),
        .middle = carve_floats(c, rows, m->width),
        .mlp_norm = carve_floats(c, rows, m->width),
        .mlp_rstd = carve_floats(c, rows, 1),
        .gate = carve_floats(c, rows, m->mlp_width),
        .up = carve_floats(c, rows, m->mlp_width),
        .act = carve_floats(c, rows, m->mlp_width),
        .out = carve_floats(c, rows, m->width),
    };
    place_norms(c, m, rows, &layer);
    return layer;
}

static void place_layers(struct carver *c, const struct model_config *m,
                         const struct space_shape *s, struct model_space *out)
{
    struct layer_space layer = {0};
    out->layers = carve(c, (size_t)m->layers, sizeof *out->layers);
    float *in = carve_floats(c, s->rows, m->width);
    for (int i = 0; i < m->layers; i++) {
        if (i == 0 || (s->training && !s->again))
            layer = place_layer(c, m, s->rows);
        else if (s->again)
            layer.out = carve_floats(c, s->rows, m->width);
        if (i == 0 || s->training)
            layer.in = in;
        if (!s->training)
            layer.out = layer.in; /* the stream's old value is not needed again */
        in = layer.out;
        if (c->base)
            out->layers[i] = layer;
    }
}

static struct gradient_space place_gradient(struct carver *c, const struct model_config *m,
                                            const struct space_shape *s)
{
    const int query = m->heads * m->head_dim;
    const int key = m->kv_heads * m->head_dim;
    const struct model_family *family = model_family(m->kind);
    struct gradient_space gradient = {
        .stream = carve_floats(c, s->rows, m->width),
        .norm = carve_floats(c, s->rows, m->width),
        .q = carve_floats(c, s->rows, query),
        .k = carve_floats(c, s->rows, key),
        .v = carve_floats(c, s->rows, key),
        .mixed = carve_floats(c, s->rows, query),
        .gate = carve_floats(c, s->rows, m->mlp_width),
        .up = carve_floats(c, s->rows, m->mlp_width),
        .act = carve_floats(c, s->rows, m->mlp_width),
        .last_mixed = carve_floats(c, s->loss_rows, query),
        .final_in = carve_floats(c, s->loss_rows, m->width),
        .final_norm = carve_floats(c, s->piece_rows, m->width),
    };
    if (family->head_norms) {
        gradient.q_in = carve_floats(c, s->rows, query);
        gradient.k_in = carve_floats(c, s->rows, key);
    }
    if (family->branch_norms)
        gradient.branch = carve_floats(c, s->rows, m->width);
    return gradient;
}

size_t model_space_place(const struct model_config *config, const struct space_shape *shape,
                         const struct kernel_ops *ops, void *base, struct model_space *space_out)
{
    struct carver c = {.base = base};
    struct model_space space = {0};
    place_batch(&c, shape, &space);
    space.rope = carve_floats(&c, shape->positions, config->head_dim);
    if (config->window > 0)
        space.rope_local = carve_floats(&c, shape->positions, config->head_dim);
    place_layers(&c, config, shape, &space);
    space.last_in = carve_floats(&c, shape->loss_rows, config->width);
    space.last_mixed = carve_floats(&c, shape->loss_rows, config->heads * config->head_dim);
    space.final_in = carve_floats(&c, shape->loss_rows, config->width);
    space.final_norm = carve_floats(&c, shape->loss_rows, config->width);
    space.final_rstd = carve_floats(&c, shape->loss_rows, 1);
    space.logits = carve_floats(&c, shape->piece_rows, config->vocabulary);
    space.attention = carve(&c, ops->attention_bytes(shape->positions, config->head_dim), 1);
    if (shape->training)
        space.gradient = place_gradient(&c, config, shape);
    if (space_out)
        *space_out = space;
    return c.used;
}
