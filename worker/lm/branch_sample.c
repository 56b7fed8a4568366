#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "branch.h"
#include "branch_impl.h"
#include "check.h"
#include "kernel_pool.h"

#define DRAW_NS 10.0 /* a token of the vocabulary, about */

/* A text that is being sampled, in one of the branch's slots. */
struct slot {
    struct rng rng;
    struct branch_text *text; /* NULL: free */
    size_t index;
};

struct sampling_run {
    struct branch *branch;
    const struct branch_sampling *sampling;
    struct branch_text *texts;
    size_t text_count, next; /* the next text that nobody has begun */
    struct slot *slots;
    struct rng root;
    struct sample_weight *work; /* [threads][vocabulary] */
};

static enum err_code check(const struct branch *b, const struct branch_sampling *s, struct err *err)
{
    if (s->max_tokens == 0 || s->max_tokens > (size_t)b->continuation_max)
        return err_set(err, ERR_INVALID, "branch: max_tokens is %zu, but 1 … %d are possible",
                       s->max_tokens, b->continuation_max);
    return sample_options_check(&s->draw, err);
}

/* The cache of the texts, once. */
static enum err_code need_cache(struct branch *b, struct err *err)
{
    const struct model_config *m = model_shape(b->model);
    const size_t rows = (size_t)b->text_slots * (size_t)b->continuation_max;
    const size_t floats = (size_t)m->layers * rows * (size_t)m->kv_heads * (size_t)m->head_dim;
    if (b->texts.keys)
        return ERR_OK;
    struct branch_cache cache = {malloc(floats * sizeof(float)), malloc(floats * sizeof(float)),
                                 rows};
    if (!cache.keys || !cache.values) {
        free(cache.keys);
        free(cache.values);
        return err_set(err, ERR_LIMIT, "branch: no memory for %d texts of %d tokens side by side",
                       b->text_slots, b->continuation_max);
    }
    b->texts = cache;
    return ERR_OK;
}

static bool is_stop(const struct branch_sampling *s, int32_t id)
{
    for (size_t i = 0; i < s->stop_count; i++) {
        if (s->stop_ids[i] == id)
            return true;
    }
    return false;
}

static int32_t draw(struct sampling_run *run, struct slot *slot, const float *logits, int thread)
{
    const int vocabulary = model_shape(run->branch->model)->vocabulary;
    return sample_draw(logits, vocabulary, &run->sampling->draw, &slot->rng,
                       run->work + (size_t)thread * (size_t)vocabulary);
}

/* Put the token that was drawn from `logits` with log-sum-exp `lse` to a slot's text; frees the
 * slot when the text ends. */
static void add_token(struct sampling_run *run, struct slot *slot, int32_t id, const float *logits,
                      double lse)
{
    const struct branch_sampling *s = run->sampling;
    struct branch_text *text = slot->text;
    text->nats += lse - (double)logits[id];
    text->ids[text->count++] = id;
    text->stopped = is_stop(s, id) ||
                    (s->should_stop && s->should_stop(s->ctx, slot->index, text->ids, text->count));
    if (text->stopped || text->count == s->max_tokens)
        slot->text = NULL;
}

/* Begin texts in a free slot until one lives beyond its first token, which the prompt gives. */
static void refill(struct sampling_run *run, struct slot *slot)
{
    const struct branch *b = run->branch;
    while (!slot->text && run->next < run->text_count) {
        const size_t index = run->next++;
        *slot = (struct slot){
            .rng = rng_child(&run->root, "text", run->sampling->first_index + index),
            .text = &run->texts[index],
            .index = index,
        };
        *slot->text = (struct branch_text){.ids = slot->text->ids};
        const int32_t id = draw(run, slot, b->prompt_logits, 0);
        add_token(run, slot, id, b->prompt_logits, b->prompt_lse);
    }
}

/* One row per living text: its last token. Returns the number of rows; slot_of[row] is its slot. */
static int pack_texts(struct sampling_run *run, int *slot_of)
{
    struct branch *b = run->branch;
    struct model_space *s = &b->space;
    int rows = 0;
    for (int i = 0; i < b->text_slots; i++) {
        refill(run, &run->slots[i]);
        const struct branch_text *text = run->slots[i].text;
        if (!text)
            continue;
        const int step = (int)text->count - 1;
        s->ids[rows] = text->ids[step];
        s->positions[rows] = b->prompt_count + step;
        s->targets[rows] = 0; /* any: only the log-sum-exp is wanted */
        b->own_first[rows] = i * b->continuation_max;
        b->own_len[rows] = step + 1;
        b->own_row[rows] = i * b->continuation_max + step;
        slot_of[rows++] = i;
    }
    return rows;
}

/* The draws of a piece of rows, each from its own text's stream. */
struct drawing {
    struct sampling_run *run;
    const int *slot_of; /* of the piece's rows */
};

static void draw_task(void *ctx, int row, int thread)
{
    const struct drawing *d = ctx;
    struct sampling_run *run = d->run;
    const struct model_space *s = &run->branch->space;
    const size_t vocabulary = (size_t)model_shape(run->branch->model)->vocabulary;
    s->ids[row] =
        draw(run, &run->slots[d->slot_of[row]], s->logits + (size_t)row * vocabulary, thread);
}

/* Draw for the rows of a pass, a piece of logits at a time. What was drawn stands in space.ids,
 * whose tokens have been looked up long ago. */
static void draw_rows(struct sampling_run *run, const int *slot_of, int rows)
{
    struct branch *b = run->branch;
    const int vocabulary = model_shape(b->model)->vocabulary;
    struct model_space *s = &b->space;
    const int used = branch_used_rows(b, rows);
    for (int row = rows; row < used; row++)
        s->targets[row] = -1;
    for (int from = 0; from < used; from += b->shape.piece_rows) {
        const int left = used - from;
        const int piece = left < b->shape.piece_rows ? left : b->shape.piece_rows;
        branch_logits_of(b, from, piece);
        b->ops->loss_forward(s->nats, s->lse, s->hit, s->logits, s->targets + from, piece,
                             vocabulary);
        struct drawing drawing = {run, slot_of + from};
        const int drawn = rows - from < piece ? rows - from : piece;
        kernel_pool_run(draw_task, &drawing, drawn, DRAW_NS * drawn * vocabulary);
        for (int row = 0; row < drawn; row++)
            add_token(run, &run->slots[slot_of[from + row]], s->ids[row],
                      s->logits + (size_t)row * (size_t)vocabulary, s->lse[row]);
    }
}

enum err_code branch_sample(struct branch *b, const struct branch_sampling *sampling, size_t count,
                            struct branch_text *texts, struct err *err)
{
    ASSERT(b->prompt_count > 0);
    enum err_code rc = check(b, sampling, err);
    if (rc == ERR_OK)
        rc = need_cache(b, err);
    if (rc != ERR_OK)
        return rc;
    struct sampling_run run = {
        .branch = b,
        .sampling = sampling,
        .texts = texts,
        .text_count = count,
        .slots = calloc((size_t)b->text_slots, sizeof *run.slots),
        .root = rng_new(sampling->draw.seed, "branch"),
        .work = malloc((size_t)kernel_threads() * (size_t)model_shape(b->model)->vocabulary *
                       sizeof *run.work),
    };
    int *slot_of = calloc((size_t)b->text_slots, sizeof *slot_of);
    if (!run.slots || !run.work || !slot_of) {
        rc = err_set(err, ERR_LIMIT, "branch: no memory to sample");
        goto done;
    }
    for (int rows = pack_texts(&run, slot_of); rows > 0; rows = pack_texts(&run, slot_of)) {
        branch_pass(b, rows, &b->texts);
        draw_rows(&run, slot_of, rows);
    }
done:
    free(slot_of);
    free(run.work);
    free(run.slots);
    return rc;
}
