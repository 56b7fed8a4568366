/* Many continuations of one prompt: the numbers of scoring each from its start, on models of the
 * oracle and on stories260K; texts that do not depend on their company; draws from the stated
 * distribution. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "branch.h"
#include "cmocka_all.h"
#include "convert_llama2c.h"
#include "file.h"
#include "kernels.h"
#include "family_golden.h"
#include "rng.h"
#include "sampler.h"

#define STORIES TRIAD_SOURCE_DIR "/tests/golden/stories260K/"

enum { CANDIDATES = 50, CANDIDATE_MAX = 9, PROMPT_MAX = 70, TEXTS = 40, TEXT_TOKENS = 24 };

struct fixture {
    char folder[64];
    struct model *stories;
};

static void must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK)
        fail_msg("%s", err->text);
}

static int setup(void **state)
{
    static struct fixture f = {.folder = "/tmp/test_branch.XXXXXX"};
    struct err err = {0};
    assert_non_null(mkdtemp(f.folder));
    must(llama2c_convert(STORIES "stories260K.bin", STORIES "tok512.bin", f.folder, &err), &err);
    must(model_load(f.folder, &f.stories, &err), &err);
    kernel_threads_set(2);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct err err;
    model_free(f->stories);
    return file_remove_tree(f->folder, &err) == ERR_OK ? 0 : -1;
}

/* A prompt and candidates of 1 … CANDIDATE_MAX tokens. */
struct choice {
    int32_t prompt[PROMPT_MAX];
    size_t prompt_count;
    int32_t ids[CANDIDATES][CANDIDATE_MAX];
    struct branch_candidate candidates[CANDIDATES];
    size_t token_count;
};

static void make_choice(struct choice *c, const struct model *model, size_t prompt_count)
{
    struct rng rng = rng_new(prompt_count, "choice");
    const uint64_t vocabulary = (uint64_t)model_shape(model)->vocabulary;
    c->prompt_count = prompt_count;
    c->token_count = 0;
    for (size_t i = 0; i < prompt_count; i++)
        c->prompt[i] = (int32_t)rng_below(&rng, vocabulary);
    for (size_t k = 0; k < CANDIDATES; k++) {
        size_t count = 1 + k % CANDIDATE_MAX;
        for (size_t i = 0; i < count; i++)
            c->ids[k][i] = (int32_t)rng_below(&rng, vocabulary);
        c->candidates[k] = (struct branch_candidate){c->ids[k], count};
        c->token_count += count;
    }
}

static struct branch *branch_of(const struct model *model, const struct choice *c, size_t rows,
                                size_t texts)
{
    struct branch_capacity capacity = {c->prompt_count, TEXT_TOKENS, rows, texts};
    struct branch *branch = NULL;
    struct err err = {0};
    must(branch_new(model, &capacity, &branch, &err), &err);
    must(branch_prompt(branch, c->prompt, c->prompt_count, &err), &err);
    return branch;
}

/* Prompt and candidate as one sequence, from the start. */
static void score_whole(const struct model *model, const struct choice *c, size_t k,
                        struct token_score *scores)
{
    int32_t ids[PROMPT_MAX + CANDIDATE_MAX];
    uint8_t losses[PROMPT_MAX + CANDIDATE_MAX] = {0};
    const size_t count = c->prompt_count + c->candidates[k].count;
    memcpy(ids, c->prompt, c->prompt_count * sizeof *ids);
    memcpy(ids + c->prompt_count, c->ids[k], c->candidates[k].count * sizeof *ids);
    memset(losses + c->prompt_count, 1, c->candidates[k].count);
    const struct model_sequence sequence = {.ids = ids, .losses = losses, .count = count};
    const struct model_capacity capacity = {1, count, count, count};
    struct model_run *run = NULL;
    struct err err = {0};
    must(model_run_new(model, MODEL_SCORE, &capacity, &run, &err), &err);
    model_forward(run, &sequence, 1, scores);
    model_run_free(run);
}

static void check_candidates(const struct model *model, size_t prompt_count)
{
    struct choice c;
    struct branch_sum sums[CANDIDATES];
    struct token_score scores[CANDIDATES * CANDIDATE_MAX], whole[CANDIDATE_MAX];
    struct err err = {0};
    make_choice(&c, model, prompt_count);
    struct branch *branch = branch_of(model, &c, 0, 0);
    must(branch_score(branch, c.candidates, CANDIDATES, sums, scores, &err), &err);
    const struct token_score *next = scores;
    for (size_t k = 0; k < CANDIDATES; k++) {
        double nats = 0;
        bool hit = true;
        score_whole(model, &c, k, whole);
        for (size_t i = 0; i < c.candidates[k].count; i++, next++) {
            assert_memory_equal(&next->nats, &whole[i].nats, sizeof next->nats);
            assert_int_equal(next->hit, whole[i].hit);
            nats += next->nats;
            hit = hit && whole[i].hit;
        }
        assert_true(fabs(sums[k].nats - nats) < 1e-12);
        assert_int_equal(sums[k].hit, hit);
        assert_int_equal(sums[k].first_hit, whole[0].hit);
    }
    branch_free(branch);
}

static void candidates_score_as_from_the_start(void **state)
{
    const struct fixture *f = *state;
    for (size_t k = 0; k < golden_case_count; k++) {
        struct golden golden;
        golden_load(&golden, golden_cases[k]);
        struct model *model = golden_model(&golden);
        check_candidates(model, 1);
        check_candidates(model, 40);
        model_free(model);
        golden_release(&golden);
    }
    check_candidates(f->stories, 37);
    check_candidates(f->stories, PROMPT_MAX);
}

/* The most probable candidate is a hit in every token. */
static void the_greedy_text_is_a_hit(void **state)
{
    const struct fixture *f = *state;
    struct choice c;
    struct err err = {0};
    make_choice(&c, f->stories, 20);
    struct branch *branch = branch_of(f->stories, &c, 0, 1);
    int32_t ids[8];
    struct branch_text text = {.ids = ids};
    const struct branch_sampling greedy = {.draw = {.top_p = 1}, .max_tokens = 8};
    must(branch_sample(branch, &greedy, 1, &text, &err), &err);
    assert_int_equal(text.count, 8);
    struct sampler *sampler = NULL;
    must(sampler_new(f->stories, &greedy.draw, &sampler, &err), &err);
    must(sampler_feed(sampler, c.prompt, c.prompt_count, &err), &err);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(sampler_choose(sampler), ids[i]);
        must(sampler_feed(sampler, &ids[i], 1, &err), &err);
    }
    sampler_free(sampler);
    const struct branch_candidate candidate = {ids, 8};
    struct branch_sum sum;
    must(branch_score(branch, &candidate, 1, &sum, NULL, &err), &err);
    assert_true(sum.hit);
    assert_memory_equal(&sum.nats, &text.nats, sizeof sum.nats);
    branch_free(branch);
}

/* Passes of 64 rows or of all, in another order, on one thread: the same numbers. */
static void company_and_threads_change_nothing(void **state)
{
    const struct fixture *f = *state;
    struct choice c;
    struct branch_candidate turned[CANDIDATES];
    struct branch_sum sums[CANDIDATES], other[CANDIDATES];
    struct err err = {0};
    make_choice(&c, f->stories, 50);
    for (size_t k = 0; k < CANDIDATES; k++)
        turned[k] = c.candidates[CANDIDATES - 1 - k];
    struct branch *branch = branch_of(f->stories, &c, 0, 0);
    must(branch_score(branch, c.candidates, CANDIDATES, sums, NULL, &err), &err);
    branch_free(branch);
    kernel_threads_set(1);
    branch = branch_of(f->stories, &c, 64, 0);
    must(branch_score(branch, turned, CANDIDATES, other, NULL, &err), &err);
    branch_free(branch);
    kernel_threads_set(2);
    for (size_t k = 0; k < CANDIDATES; k++)
        assert_memory_equal(&sums[k].nats, &other[CANDIDATES - 1 - k].nats, sizeof sums[k].nats);
}

static void sample_texts(struct branch *branch, uint64_t first_index, size_t count,
                         struct branch_text *texts)
{
    const struct branch_sampling sampling = {
        .draw = {.temperature = 1, .top_p = 0.95, .top_k = 100, .seed = 7},
        .first_index = first_index,
        .max_tokens = TEXT_TOKENS,
    };
    struct err err = {0};
    must(branch_sample(branch, &sampling, count, texts, &err), &err);
}

/* All at once, or one after the other: the same texts. */
static void a_text_depends_on_seed_and_index_alone(void **state)
{
    const struct fixture *f = *state;
    struct choice c;
    static int32_t ids[TEXTS][TEXT_TOKENS], alone_ids[TEXT_TOKENS];
    struct branch_text texts[TEXTS], alone = {.ids = alone_ids};
    size_t different = 0;
    make_choice(&c, f->stories, 30);
    for (size_t i = 0; i < TEXTS; i++)
        texts[i].ids = ids[i];
    struct branch *branch = branch_of(f->stories, &c, 0, 16); /* slots are used again */
    sample_texts(branch, 100, TEXTS, texts);
    branch_free(branch);
    branch = branch_of(f->stories, &c, 64, 1);
    for (size_t i = 0; i < TEXTS; i++) {
        sample_texts(branch, 100 + i, 1, &alone);
        assert_int_equal(alone.count, TEXT_TOKENS);
        assert_memory_equal(alone.ids, texts[i].ids, sizeof alone_ids);
        assert_memory_equal(&alone.nats, &texts[i].nats, sizeof alone.nats);
        different += memcmp(ids[i], ids[0], sizeof ids[0]) != 0;
    }
    assert_true(different > TEXTS / 2);
    branch_free(branch);
}

/* Chi-square over the most probable first tokens and the rest. */
static void first_tokens_follow_the_logits(void **state)
{
    enum { DRAWS = 4000, CELLS = 12 };
    const struct fixture *f = *state;
    const int vocabulary = model_shape(f->stories)->vocabulary;
    struct choice c;
    static int32_t ids[DRAWS][1];
    static struct branch_text texts[DRAWS];
    double p[512], total = 0, rest = 1, statistic = 0;
    size_t counted = 0;
    struct err err = {0};
    make_choice(&c, f->stories, 12);
    struct branch *branch = branch_of(f->stories, &c, 0, 0);
    const struct branch_sampling sampling = {.draw = {.temperature = 0.7, .top_p = 1, .seed = 3},
                                             .max_tokens = 1};
    for (size_t i = 0; i < DRAWS; i++)
        texts[i].ids = ids[i];
    must(branch_sample(branch, &sampling, DRAWS, texts, &err), &err);
    const float *logits = branch_logits(branch);
    for (int v = 0; v < vocabulary; v++)
        total += p[v] = exp(((double)logits[v] - (double)logits[0]) / 0.7);
    for (int cell = 0; cell < CELLS; cell++) {
        int best = 0;
        size_t hits = 0;
        for (int v = 1; v < vocabulary; v++)
            best = p[v] > p[best] ? v : best;
        for (size_t i = 0; i < DRAWS; i++)
            hits += ids[i][0] == best;
        const double share = p[best] / total, wanted = DRAWS * share;
        statistic += ((double)hits - wanted) * ((double)hits - wanted) / wanted;
        counted += hits;
        rest -= share;
        p[best] = 0;
    }
    const double others = (double)(DRAWS - counted) - DRAWS * rest;
    statistic += others * others / (DRAWS * rest);
    /* The 99.9th percentile of chi-square with 12 degrees of freedom. */
    assert_true(statistic < 32.9);
    branch_free(branch);
}

struct stopper {
    size_t calls;
    size_t stop_at;
};

static bool stop_at_count(void *ctx, size_t index, const int32_t *ids, size_t count)
{
    struct stopper *s = ctx;
    (void)ids;
    s->calls++;
    return index % 2 == 0 && count == s->stop_at;
}

static void texts_stop_where_they_should(void **state)
{
    const struct fixture *f = *state;
    struct choice c;
    static int32_t ids[TEXTS][TEXT_TOKENS];
    struct branch_text texts[TEXTS];
    struct stopper stopper = {.stop_at = 5};
    struct err err = {0};
    make_choice(&c, f->stories, 30);
    for (size_t i = 0; i < TEXTS; i++)
        texts[i].ids = ids[i];
    struct branch *branch = branch_of(f->stories, &c, 0, 8);
    sample_texts(branch, 0, 1, texts);
    const int32_t stop_id = ids[0][2];
    const struct branch_sampling sampling = {
        .draw = {.temperature = 1, .top_p = 0.95, .top_k = 100, .seed = 7},
        .max_tokens = TEXT_TOKENS,
        .stop_ids = &stop_id,
        .stop_count = 1,
        .should_stop = stop_at_count,
        .ctx = &stopper,
    };
    must(branch_sample(branch, &sampling, TEXTS, texts, &err), &err);
    assert_true(texts[0].stopped);
    assert_in_range(texts[0].count, 1, 3);
    for (size_t i = 0; i < TEXTS; i++) {
        const bool at_id = ids[i][texts[i].count - 1] == stop_id;
        if (i % 2 == 0)
            assert_true(texts[i].stopped && (at_id || texts[i].count == 5));
        else
            assert_true(texts[i].stopped ? at_id : texts[i].count == TEXT_TOKENS);
        for (size_t k = 0; k + 1 < texts[i].count; k++)
            assert_true(ids[i][k] != stop_id);
    }
    assert_true(stopper.calls > TEXTS);
    branch_free(branch);
}

static void what_cannot_work_is_refused(void **state)
{
    const struct fixture *f = *state;
    const struct branch_capacity too_long = {.prompt_tokens = 500, .continuation_tokens = 14};
    struct branch *branch = NULL;
    struct choice c;
    struct err err = {0};
    int32_t foreign = 512, fine = 3, ids[TEXT_TOKENS + 1] = {0};
    struct branch_sum sum;
    struct branch_text text = {.ids = ids};
    assert_int_equal(branch_new(f->stories, &too_long, &branch, &err), ERR_INVALID);
    make_choice(&c, f->stories, 30);
    branch = branch_of(f->stories, &c, 0, 0);
    assert_int_equal(branch_prompt(branch, &foreign, 1, &err), ERR_INVALID);
    assert_int_equal(branch_prompt(branch, c.prompt, 31, &err), ERR_LIMIT);
    assert_int_equal(branch_prompt(branch, c.prompt, 0, &err), ERR_LIMIT);
    const struct branch_candidate wrong[] = {{&foreign, 1}, {&fine, 0}, {ids, TEXT_TOKENS + 1}};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(branch_score(branch, &wrong[i], 1, &sum, NULL, &err), ERR_INVALID);
    struct branch_sampling sampling = {.draw = {.temperature = 1, .top_p = 1},
                                       .max_tokens = TEXT_TOKENS + 1};
    assert_int_equal(branch_sample(branch, &sampling, 1, &text, &err), ERR_INVALID);
    sampling.max_tokens = 1;
    sampling.draw.top_p = 0;
    assert_int_equal(branch_sample(branch, &sampling, 1, &text, &err), ERR_INVALID);
    branch_free(branch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(candidates_score_as_from_the_start),
        cmocka_unit_test(the_greedy_text_is_a_hit),
        cmocka_unit_test(company_and_threads_change_nothing),
        cmocka_unit_test(a_text_depends_on_seed_and_index_alone),
        cmocka_unit_test(first_tokens_follow_the_logits),
        cmocka_unit_test(texts_stop_where_they_should),
        cmocka_unit_test(what_cannot_work_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
