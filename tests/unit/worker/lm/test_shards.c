/* Steps in shards, their sums, and sums over ranks: the same bits however the work is dealt out.
 * The ranks here are threads that pass bytes through boxes, late and in any order (seeded). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "batch.h"
#include "cmocka_all.h"
#include "kernels.h"
#include "rng.h"
#include "shard_sum.h"
#include "train_group.h"

/* ---- what a shard holds ---- */

static struct corpus corpus_of(struct rng *rng, uint32_t count)
{
    static const int32_t ids[64], examples[64];
    static const uint8_t losses[64] = {[0 ... 63] = LOSS_CONTENT};
    struct corpus corpus = {0};
    for (uint32_t i = 0; i < count; i++)
        corpus_append(&corpus, i, ids, losses, examples, 1 + rng_below(rng, 63));
    return corpus;
}

/* Shards change neither what a step holds nor how many there are; together they are the step, in
 * order; each is at most a sequence away from its share of the tokens. */
static void check_steps(const struct corpus *corpus, struct batch_plan whole, uint32_t shards)
{
    struct batch_plan dealt = whole;
    dealt.shards = shards;
    struct data_cursor a = {0}, b = {0};
    struct micro_batch *one = calloc(batch_micro_max(&whole), sizeof *one);
    struct micro_batch *many = calloc(batch_micro_max(&dealt), sizeof *many);
    const struct micro_batch largest = batch_largest(&dealt, 0);
    uint32_t ends[SHARDS_MAX];
    int64_t steps = 0;
    for (; a.epoch == 0; steps++) {
        const uint32_t first = a.sequence;
        uint32_t next = first;
        batch_step(&whole, &a, one);
        const uint32_t count = batch_step_shards(&dealt, &b, many, ends);
        assert_true(count <= batch_micro_max(&dealt));
        assert_int_equal(ends[shards - 1], count);
        assert_true(a.epoch == b.epoch && a.sequence == b.sequence);
        const uint32_t end = a.epoch ? corpus->sequence_count : a.sequence;
        const size_t tokens = corpus->starts[end] - corpus->starts[first];
        for (uint32_t s = 0, k = 0; s < shards; s++) {
            size_t held = 0;
            for (; k < ends[s]; k++) {
                assert_int_equal(many[k].first_sequence, next);
                assert_true(many[k].sequence_count == 1 ||
                            many[k].token_count <= dealt.batch_tokens);
                assert_true(many[k].token_count <= largest.token_count &&
                            many[k].sequence_count <= largest.sequence_count &&
                            many[k].loss_token_count <= largest.loss_token_count);
                held += many[k].token_count;
                next += many[k].sequence_count;
            }
            assert_in_range(held + 64, tokens / shards, tokens / shards + 128);
        }
        assert_int_equal(next, end);
    }
    assert_int_equal(steps, batch_steps_per_pass(&dealt));
    free(one);
    free(many);
}

static void shards_are_runs_of_a_steps_sequences(void **state)
{
    (void)state;
    struct rng rng = rng_new(1, "shards");
    for (int round = 0; round < 40; round++) {
        struct corpus corpus = corpus_of(&rng, 1 + (uint32_t)rng_below(&rng, 60));
        for (uint32_t shards = 1; shards <= 32; shards *= 2) {
            const size_t tokens = 1 + rng_below(&rng, 300);
            check_steps(&corpus, (struct batch_plan){&corpus, tokens, 1, 0, 1}, shards);
            check_steps(&corpus, (struct batch_plan){&corpus, tokens, 5, 0, 1}, shards);
            check_steps(&corpus, (struct batch_plan){&corpus, tokens, 1, 9, 1}, shards);
        }
        corpus_release(&corpus);
    }
}

/* ---- sums ---- */

enum { MANY = 64, WIDE = 1001 };

/* Floats of very different sizes: their sums tell how they were bracketed. */
static float wild(uint64_t seed, uint32_t shard, size_t element)
{
    struct rng rng = rng_new(seed + shard * 100003 + element, "wild");
    const double size[] = {1e-6, 1e-3, 1, 1e3};
    return (float)(rng_normal(&rng) * size[rng_below(&rng, 4)]);
}

/* The definition, by recursion. */
static float tree(uint64_t seed, uint32_t first, uint32_t count, size_t element)
{
    if (count == 1)
        return wild(seed, first, element);
    return tree(seed, first, count / 2, element) +
           tree(seed, first + count / 2, count / 2, element);
}

/* Shards first … first + count - 1 of `elements` floats, taken in one by one; the losses are those
 * of element 0. */
static void take_all(uint64_t seed, uint32_t first, uint32_t count, size_t elements, float *block,
                     double *nats)
{
    struct shard_sum sum;
    struct err err;
    assert_int_equal(shard_sum_init(&sum, elements, count, &err), ERR_OK);
    for (uint32_t s = 0; s < count; s++) {
        for (size_t i = 0; i < elements; i++)
            block[i] = wild(seed, first + s, i);
        *nats = wild(seed, first + s, 0);
        shard_sum_take(&sum, s, block, nats);
    }
    shard_sum_release(&sum);
}

static void a_sum_is_bracketed_as_a_binary_tree(void **state)
{
    (void)state;
    static float block[WIDE];
    double nats;
    size_t odd = 0;
    for (uint32_t shards = 1; shards <= MANY; shards *= 2) {
        take_all(7, 0, shards, WIDE, block, &nats);
        for (size_t i = 0; i < WIDE; i++) {
            float in_a_row = 0;
            for (uint32_t s = 0; s < shards; s++)
                in_a_row += wild(7, s, i);
            assert_true(block[i] == tree(7, 0, shards, i));
            odd += in_a_row != block[i];
        }
    }
    assert_true(odd > 100); /* the order can be seen in these numbers */
    assert_true(shard_count_is_possible(1) && shard_count_is_possible(SHARDS_MAX));
    assert_false(shard_count_is_possible(0) || shard_count_is_possible(3) ||
                 shard_count_is_possible(2 * SHARDS_MAX));
}

/* ---- ranks ---- */

enum { RANKS = 8 };

struct world {
    uint32_t count;
    int pipes[RANKS][RANKS][2]; /* from, to */
    uint64_t seed;
};

struct member {
    struct world *world;
    struct train_group group;
    struct rng delay;
    size_t elements;
    float *block;
    double nats;
    uint32_t shared[3];
    enum err_code given, agreed;
    struct err err;
    pthread_t thread;
};

static void move_bytes(int fd, char *bytes, size_t len, bool out)
{
    for (size_t at = 0; at < len;) {
        const ssize_t n = out ? write(fd, bytes + at, len - at) : read(fd, bytes + at, len - at);
        assert_true(n > 0);
        at += (size_t)n;
    }
}

/* Pieces larger than a pipe pass in turns: the lower rank sends first, in parts of its size. */
static enum err_code pass(void *ctx, uint32_t peer, const void *out, size_t out_len, void *in,
                          size_t in_len, struct err *err)
{
    (void)err;
    struct member *m = ctx;
    const uint32_t rank = m->group.rank;
    usleep((useconds_t)rng_below(&m->delay, 200));
    for (size_t at = 0; at < out_len || at < in_len; at += 4096) {
        const size_t give = at < out_len ? (out_len - at < 4096 ? out_len - at : 4096) : 0;
        const size_t take = at < in_len ? (in_len - at < 4096 ? in_len - at : 4096) : 0;
        char part[4096];
        if (give)
            memcpy(part, (const char *)out + at, give);
        move_bytes(m->world->pipes[rank][peer][1], part, give, true);
        move_bytes(m->world->pipes[peer][rank][0], (char *)in + at, take, false);
    }
    return ERR_OK;
}

static void *run_member(void *arg)
{
    struct member *m = arg;
    struct err err;
    assert_int_equal(train_group_sum(&m->group, m->block, m->elements, &m->nats, &err), ERR_OK);
    assert_int_equal(train_group_share(&m->group, m->shared, sizeof m->shared, &err), ERR_OK);
    if (m->given)
        err_set(&m->err, m->given, "%u is unwell", m->group.rank);
    m->agreed = train_group_agree(&m->group, m->given, &m->err);
    return NULL;
}

static void check_group(uint64_t seed, uint32_t ranks, uint32_t shards, size_t elements)
{
    struct world world = {.count = ranks, .seed = seed};
    struct member members[RANKS] = {{.world = NULL}};
    for (uint32_t a = 0; a < ranks; a++) {
        for (uint32_t b = 0; b < ranks; b++)
            assert_int_equal(pipe(world.pipes[a][b]), 0);
    }
    const uint32_t own = shards / ranks;
    for (uint32_t r = 0; r < ranks; r++) {
        struct member *m = &members[r];
        *m = (struct member){.world = &world, .elements = elements, .shared = {r, r, r}};
        m->group = (struct train_group){.rank = r, .count = ranks, .link = {m, pass}};
        m->delay = rng_new(seed * 31 + r, "delay");
        m->given = r == 1 || r == 2 ? ERR_IO : ERR_OK;
        m->block = malloc((elements + 1) * sizeof *m->block);
        take_all(seed, r * own, own, elements, m->block, &m->nats);
    }
    for (uint32_t r = 0; r < ranks; r++)
        assert_int_equal(pthread_create(&members[r].thread, NULL, run_member, &members[r]), 0);
    for (uint32_t r = 0; r < ranks; r++)
        pthread_join(members[r].thread, NULL);
    float *alone = malloc((elements + 1) * sizeof *alone);
    double nats;
    take_all(seed, 0, shards, elements, alone, &nats);
    for (uint32_t r = 0; r < ranks; r++) {
        assert_memory_equal(members[r].block, alone, elements * sizeof *alone);
        assert_true(members[r].nats == nats);
        assert_int_equal(members[r].shared[2], 0);
        assert_int_equal(members[r].agreed, ranks > 1 ? ERR_IO : ERR_OK);
        if (ranks > 1)
            assert_string_equal(members[r].err.text, "rank 1: 1 is unwell");
        free(members[r].block);
    }
    free(alone);
    for (uint32_t a = 0; a < ranks; a++) {
        for (uint32_t b = 0; b < ranks; b++) {
            close(world.pipes[a][b][0]);
            close(world.pipes[a][b][1]);
        }
    }
}

static void ranks_sum_to_the_bits_of_one(void **state)
{
    (void)state;
    uint64_t seed = 100;
    for (uint32_t ranks = 1; ranks <= RANKS; ranks *= 2) {
        static const size_t sizes[] = {1, 2, 7, 64, 1001};
        for (size_t i = 0; i < 5; i++)
            check_group(seed++, ranks, 8, sizes[i]);
        check_group(seed++, ranks, 16, 33);
    }
    check_group(seed, 4, 4,
                256 * 1024 * 3 + 5); /* more than a piece, and no whole number of them */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_are_runs_of_a_steps_sequences),
        cmocka_unit_test(a_sum_is_bracketed_as_a_binary_tree),
        cmocka_unit_test(ranks_sum_to_the_bits_of_one),
    };
    kernel_threads_set(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
