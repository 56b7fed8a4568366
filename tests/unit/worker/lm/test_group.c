/* A training in shards, alone and on several ranks: the same bits in weights, moments and curve,
 * for all families and for an adapter, with bf16 products, and over a stop and a new start. Ranks
 * are processes of their own (the pool of threads is one per process) joined by socket pairs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "family_golden.h"
#include "file.h"
#include "hash.h"
#include "kernels.h"

enum { RANKS_OF_TEST = 4, STEPS = 6 };

/* What is trained, and how. */
struct setting {
    const char *model;
    uint32_t shards, ranks;
    bool adapter;
    const char *kernels;   /* NULL: as they are */
    int64_t stop_at;       /* steps; 0: to the end */
    const char *resume;    /* folder to begin from */
    const char *save;      /* folder to save to, by rank 0 */
    int64_t bad_weight_at; /* rank 1 spoils a weight after this step; 0: it does not */
    uint32_t failing_rank; /* its checkpoint hook fails; 0: none does */
    size_t memory_bytes_max;
};

/* What rank 0 saw of it; in memory that the processes share. */
struct outcome {
    enum err_code code[RANKS_OF_TEST];
    char text[RANKS_OF_TEST][512];
    struct train_metrics steps[STEPS];
    size_t count;
    size_t gradients;
    struct digest weights[RANKS_OF_TEST], moments;
};

/* ---- one rank ---- */

struct link_fds {
    int to[RANKS_OF_TEST];
};

static bool move_bytes(int fd, char *bytes, size_t len, bool out)
{
    for (size_t at = 0; at < len;) {
        const ssize_t n = out ? write(fd, bytes + at, len - at) : read(fd, bytes + at, len - at);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

static enum err_code pass(void *ctx, uint32_t peer, const void *out, size_t out_len, void *in,
                          size_t in_len, struct err *err)
{
    const struct link_fds *fds = ctx;
    char part[4096];
    for (size_t at = 0; at < out_len || at < in_len; at += sizeof part) {
        const size_t give = at < out_len ? out_len - at : 0, take = at < in_len ? in_len - at : 0;
        const size_t give_now = give < sizeof part ? give : sizeof part;
        if (give_now)
            memcpy(part, (const char *)out + at, give_now);
        if (!move_bytes(fds->to[peer], part, give_now, true) ||
            !move_bytes(fds->to[peer], (char *)in + at, take < sizeof part ? take : sizeof part,
                        false))
            return err_set(err, ERR_IO, "the other end is gone");
    }
    return ERR_OK;
}

struct run {
    const struct setting *setting;
    struct outcome *outcome;
    struct train_group group;
    struct model *model;
};

static void on_step(void *ctx, const struct train_metrics *metrics)
{
    struct run *r = ctx;
    if (r->group.rank == 0)
        r->outcome->steps[r->outcome->count++] = *metrics;
    if (r->group.rank == 1 && metrics->step + 1 == r->setting->bad_weight_at)
        model_params(r->model)->block[5] += 1e-6f;
}

static bool should_stop(void *ctx)
{
    const struct run *r = ctx;
    /* Other ranks' words do not count. */
    return r->group.rank != 0 ||
           (r->setting->stop_at > 0 && (int64_t)r->outcome->count >= r->setting->stop_at);
}

static enum err_code checkpoint(void *ctx, struct trainer *trainer, struct err *err)
{
    const struct run *r = ctx;
    (void)trainer;
    return r->setting->failing_rank && r->setting->failing_rank == r->group.rank
               ? err_set(err, ERR_IO, "no room")
               : ERR_OK;
}

static struct digest digest_of(const struct params *p)
{
    struct hash_state hash;
    hash_init(&hash);
    for (size_t i = 0; i < p->tensor_count; i++)
        hash_update(&hash, p->tensors[i].data,
                    tensor_spec_elements(&p->tensors[i]) * sizeof(float));
    return hash_final(&hash);
}

static enum err_code load_weights(const char *folder, struct params *weights, struct err *err)
{
    char path[512], *bytes = NULL;
    size_t len = 0;
    snprintf(path, sizeof path, "%s/weights", folder);
    enum err_code code = file_read(path, 0, &bytes, &len, err);
    if (!code)
        memcpy(weights->block, bytes, len);
    free(bytes);
    return code;
}

static enum err_code save(const struct run *r, const struct trainer *trainer,
                          const struct params *weights, struct err *err)
{
    char path[512];
    snprintf(path, sizeof path, "%s/weights", r->setting->save);
    enum err_code code = file_write_atomic(path, (const char *)weights->block,
                                           weights->element_count * sizeof(float), 0600, err);
    return code ? code : trainer_save(trainer, r->setting->save, err);
}

static enum err_code moments_of(const struct trainer *trainer, struct digest *out, struct err *err)
{
    char folder[] = "/tmp/test_group.XXXXXX", path[64], *bytes = NULL;
    size_t len = 0;
    if (!mkdtemp(folder))
        return err_set(err, ERR_IO, "no folder");
    snprintf(path, sizeof path, "%s/optimizer.safetensors", folder);
    enum err_code code = trainer_save(trainer, folder, err);
    if (!code)
        code = file_read(path, 0, &bytes, &len, err);
    if (!code)
        *out = hash_bytes(bytes, len);
    free(bytes);
    struct err ignored;
    (void)!file_remove_tree(folder, &ignored);
    return code;
}

static enum err_code train(struct run *r, struct err *err)
{
    const struct setting *s = r->setting;
    struct golden g;
    struct adapter adapter = {.scale = 0};
    struct trainer *trainer = NULL;
    struct train_result result;
    struct train_hooks hooks = {r, on_step, should_stop, checkpoint};
    enum err_code code = ERR_OK;
    kernel_threads_set(1);
    if (s->kernels && !kernel_use(s->kernels))
        return err_set(err, ERR_INVALID, "no such kernels");
    golden_load(&g, s->model);
    r->model = golden_model(&g);
    g.train.steps = STEPS;
    g.train.shards = s->shards;
    g.train.checkpoint_steps = 2;
    g.train.memory_bytes_max = s->memory_bytes_max;
    g.train.group = s->ranks > 1 ? &r->group : NULL;
    if (s->adapter) {
        const struct adapter_config config = {.rank = 3,
                                              .alpha = 6,
                                              .dropout = 0.1,
                                              .targets = {[ADAPTER_Q] = true, [ADAPTER_UP] = true},
                                              .head = true};
        code =
            adapter_init(&adapter, &config, model_shape(r->model), model_weights(r->model), 5, err);
        g.train.adapter = &adapter;
    }
    const struct params *trained = s->adapter ? &adapter.trained : model_weights(r->model);
    if (!code && s->resume)
        code = load_weights(s->resume, model_params(r->model), err);
    if (!code)
        code = trainer_new(r->model, &g.corpus, &g.train, &trainer, err);
    if (!code && s->resume)
        code = trainer_load(trainer, s->resume, err);
    if (!code)
        code = trainer_run(trainer, &hooks, &result, err);
    if (!code && r->group.rank == 0) {
        r->outcome->gradients = trainer_memory(trainer)->gradients;
        code = moments_of(trainer, &r->outcome->moments, err);
    }
    if (!code && r->group.rank == 0 && s->save)
        code = save(r, trainer, model_weights(r->model), err);
    if (!code)
        r->outcome->weights[r->group.rank] = digest_of(trained);
    trainer_free(trainer);
    adapter_release(&adapter);
    model_free(r->model);
    golden_release(&g);
    return code;
}

/* ---- all ranks ---- */

static struct outcome run(const struct setting *setting)
{
    struct outcome *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ends[RANKS_OF_TEST][RANKS_OF_TEST];
    pid_t pids[RANKS_OF_TEST];
    assert_true(shared != MAP_FAILED);
    for (uint32_t a = 0; a < setting->ranks; a++) {
        for (uint32_t b = 0; b < a; b++) {
            int pair[2];
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
            ends[a][b] = pair[0];
            ends[b][a] = pair[1];
        }
    }
    for (uint32_t rank = 0; rank < setting->ranks; rank++) {
        pids[rank] = fork();
        assert_true(pids[rank] >= 0);
        if (pids[rank] > 0)
            continue;
        struct link_fds fds = {{0}};
        struct run r = {.setting = setting, .outcome = shared};
        struct err err = {.code = ERR_OK};
        for (uint32_t other = 0; other < setting->ranks; other++)
            fds.to[other] = other == rank ? -1 : ends[rank][other];
        r.group = (struct train_group){rank, setting->ranks, {&fds, pass}};
        shared->code[rank] = train(&r, &err);
        if (shared->code[rank])
            memcpy(shared->text[rank], err.text, sizeof err.text);
        _exit(0);
    }
    for (uint32_t a = 0; a < setting->ranks; a++) {
        for (uint32_t b = 0; b < setting->ranks; b++) {
            if (a != b)
                close(ends[a][b]);
        }
    }
    for (uint32_t rank = 0; rank < setting->ranks; rank++) {
        int status;
        assert_int_equal(waitpid(pids[rank], &status, 0), pids[rank]);
        assert_int_equal(status, 0);
    }
    struct outcome outcome = *shared;
    munmap(shared, sizeof *shared);
    return outcome;
}

static struct outcome run_well(struct setting setting)
{
    struct outcome outcome = run(&setting);
    for (uint32_t rank = 0; rank < setting.ranks; rank++) {
        if (outcome.code[rank])
            fail_msg("rank %u: %s", rank, outcome.text[rank]);
        assert_memory_equal(&outcome.weights[rank], &outcome.weights[0], sizeof(struct digest));
    }
    return outcome;
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_true(a->steps[i].loss_nats == b->steps[i].loss_nats);
        assert_true(a->steps[i].grad_norm == b->steps[i].grad_norm);
        assert_int_equal(a->steps[i].token_count, b->steps[i].token_count);
    }
    assert_memory_equal(&a->weights[0], &b->weights[0], sizeof a->weights[0]);
    assert_memory_equal(&a->moments, &b->moments, sizeof a->moments);
}

static void check_ranks(struct setting setting)
{
    setting.shards = 4;
    setting.ranks = 1;
    const struct outcome alone = run_well(setting);
    assert_int_equal(alone.count, STEPS);
    for (setting.ranks = 2; setting.ranks <= 4; setting.ranks *= 2) {
        const struct outcome shared = run_well(setting);
        check_same(&alone, &shared);
        /* A sum per level of the tree that is not between ranks. */
        assert_true(shared.gradients < alone.gradients);
    }
}

static void ranks_give_the_bits_of_one(void **state)
{
    (void)state;
    for (size_t k = 0; k < golden_case_count; k++)
        check_ranks((struct setting){.model = golden_cases[k]});
}

static void so_do_adapters_with_dropout(void **state)
{
    (void)state;
    check_ranks((struct setting){.model = "llama-untied", .adapter = true});
}

static void so_do_bf16_products(void **state)
{
    (void)state;
    check_ranks((struct setting){.model = "qwen3-untied", .kernels = "packed/bf16"});
}

/* Shards bracket the sums anew, no more: the first step's loss and gradient agree within rounding,
 * and so do the steps after it. One shard is what there was before there were any. */
static void shards_change_rounding_only(void **state)
{
    (void)state;
    for (size_t k = 0; k < golden_case_count; k++) {
        struct setting s = {.model = golden_cases[k], .ranks = 1};
        const struct outcome none = run_well(s);
        s.shards = 1;
        const struct outcome one = run_well(s);
        check_same(&none, &one);
        s.shards = 8;
        const struct outcome eight = run_well(s);
        assert_true(memcmp(&one.weights[0], &eight.weights[0], sizeof one.weights[0]) != 0);
        assert_int_equal(eight.gradients, 4 * one.gradients);
        for (size_t i = 0; i < STEPS; i++) {
            const struct train_metrics *a = &one.steps[i], *b = &eight.steps[i];
            assert_int_equal(a->loss_token_count, b->loss_token_count);
            assert_true(fabs(a->loss_nats / b->loss_nats - 1) < (i == 0 ? 1e-12 : 1e-5));
            assert_true(fabs(a->grad_norm / b->grad_norm - 1) < (i == 0 ? 1e-5 : 1e-4));
        }
    }
}

static void a_stopped_group_resumes_on_other_numbers_of_ranks(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_group.XXXXXX";
    struct err err;
    assert_non_null(mkdtemp(folder));
    struct setting s = {.model = "gemma3-tied", .shards = 4, .ranks = 1};
    const struct outcome whole = run_well(s);
    s = (struct setting){
        .model = "gemma3-tied", .shards = 4, .ranks = 4, .stop_at = 3, .save = folder};
    assert_int_equal(run_well(s).count, 3);
    s = (struct setting){.model = "gemma3-tied", .shards = 4, .ranks = 2, .resume = folder};
    const struct outcome rest = run_well(s);
    assert_int_equal(rest.count, STEPS - 3);
    assert_true(rest.steps[2].loss_nats == whole.steps[5].loss_nats);
    assert_memory_equal(&rest.weights[0], &whole.weights[0], sizeof rest.weights[0]);
    assert_memory_equal(&rest.moments, &whole.moments, sizeof rest.moments);
    /* A state of other shards is of another run. */
    s.shards = 2;
    const struct outcome other = run(&s);
    assert_int_equal(other.code[0], ERR_CONFLICT);
    assert_int_equal(file_remove_tree(folder, &err), ERR_OK);
}

static void a_rank_that_computes_otherwise_is_found_at_a_checkpoint(void **state)
{
    (void)state;
    struct setting s = {.model = "llama-tied", .shards = 4, .ranks = 4, .bad_weight_at = 3};
    const struct outcome outcome = run(&s);
    for (uint32_t rank = 0; rank < 4; rank++)
        assert_int_equal(outcome.code[rank], ERR_CONFLICT);
    assert_non_null(strstr(outcome.text[0], "rank 1: after step 4 the weights"));
    assert_int_equal(outcome.count, 4);
}

static void a_failing_checkpoint_ends_all(void **state)
{
    (void)state;
    struct setting s = {.model = "llama-tied", .shards = 4, .ranks = 4, .failing_rank = 2};
    const struct outcome outcome = run(&s);
    for (uint32_t rank = 0; rank < 4; rank++) {
        assert_int_equal(outcome.code[rank], ERR_IO);
        assert_string_equal(outcome.text[rank], "rank 2: no room");
    }
}

static void numbers_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct setting settings[] = {
        {.model = "llama-tied", .shards = 3, .ranks = 1},
        {.model = "llama-tied", .shards = 2048, .ranks = 1},
        {.model = "llama-tied", .shards = 2, .ranks = 4},
        {.model = "llama-tied", .ranks = 2},
        {.model = "llama-tied", .shards = 4, .ranks = 3},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct outcome outcome = run(&settings[i]);
        assert_int_equal(outcome.code[0], ERR_INVALID);
        assert_non_null(strstr(outcome.text[0], "power of two"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_give_the_bits_of_one),
        cmocka_unit_test(so_do_adapters_with_dropout),
        cmocka_unit_test(so_do_bf16_products),
        cmocka_unit_test(shards_change_rounding_only),
        cmocka_unit_test(a_stopped_group_resumes_on_other_numbers_of_ranks),
        cmocka_unit_test(a_rank_that_computes_otherwise_is_found_at_a_checkpoint),
        cmocka_unit_test(a_failing_checkpoint_ends_all),
        cmocka_unit_test(numbers_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
