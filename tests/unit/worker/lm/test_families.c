/* Logits and greedy texts of all three families against llama.cpp and float64 numpy
 * (tests/oracle/families_llamacpp.py): one sequence longer than row blocks, windows and the
 * original context of scaled RoPE, read token by token, in blocks, and as a batch. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "family_golden.h"
#include "model_family.h"
#include "sampler.h"

struct long_case {
    const char *name;
    /* Largest difference from llama.cpp; 0: it cannot express the case. Its GELU is a table of half
     * precision, so Gemma's logits there are off by some thousandths. */
    double llamacpp_bound;
};

static const struct long_case long_cases[] = {
    {"llama-gqa4-scaled", 1e-4}, {"llama-mha-untied", 1e-4}, {"qwen3-gqa2-tied", 1e-4},
    {"qwen3-gqa6-untied", 1e-4}, {"gemma3-gqa4", 5e-3},      {"gemma3-gqa2", 5e-3},
    {"gemma3-rounded", 0},
};
enum { LONG_COUNT = sizeof long_cases / sizeof long_cases[0], IDS_MAX = 256 };

static const double numpy_bound = 1e-4;

struct bench {
    struct golden golden; /* without sequences and training */
    struct model *model;
    int32_t ids[IDS_MAX], greedy[IDS_MAX];
    int count, prompt, greedy_count, vocabulary;
    const float *numpy, *llamacpp; /* [count][vocabulary]; llamacpp may be NULL */
};

static int read_ids(const json_t *list, int32_t *out)
{
    const size_t count = json_array_size(list);
    assert_in_range(count, 1, IDS_MAX);
    for (size_t i = 0; i < count; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return (int)count;
}

static void setup(struct bench *b, const struct long_case *c)
{
    size_t floats = 0;
    memset(b, 0, sizeof *b);
    golden_load_model(&b->golden, c->name);
    b->model = golden_model(&b->golden);
    b->vocabulary = b->golden.config.vocabulary;
    b->count = read_ids(json_object_get(b->golden.root, "ids"), b->ids);
    b->greedy_count = read_ids(json_object_get(b->golden.root, "greedy"), b->greedy);
    b->prompt = (int)golden_number(b->golden.root, "prompt");
    b->numpy = golden_tensor(&b->golden, "numpy", &floats);
    assert_int_equal(floats, b->count * b->vocabulary);
    if (c->llamacpp_bound > 0)
        b->llamacpp = golden_tensor(&b->golden, "llamacpp", &floats);
    assert_int_equal(floats, b->count * b->vocabulary);
}

static void teardown(struct bench *b)
{
    model_free(b->model);
    golden_release(&b->golden);
}

static struct sampler *new_sampler(const struct model *model)
{
    const struct sample_options greedy = {.temperature = 0, .top_p = 1};
    struct sampler *sampler = NULL;
    struct err err;
    if (sampler_new(model, &greedy, &sampler, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return sampler;
}

static void feed(struct sampler *sampler, const int32_t *ids, int count)
{
    struct err err;
    if (sampler_feed(sampler, ids, (size_t)count, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

static double row_distance(const float *a, const float *b, int count)
{
    double worst = 0;
    for (int i = 0; i < count; i++)
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
    return worst;
}

/* Largest differences of the sampler's logits after every token. */
static void distances(const struct bench *b, const struct model *model, double *from_numpy,
                      double *from_llamacpp)
{
    struct sampler *sampler = new_sampler(model);
    *from_numpy = *from_llamacpp = 0;
    for (int t = 0; t < b->count; t++) {
        const size_t at = (size_t)t * (size_t)b->vocabulary;
        feed(sampler, &b->ids[t], 1);
        const float *logits = sampler_logits(sampler);
        *from_numpy = fmax(*from_numpy, row_distance(logits, b->numpy + at, b->vocabulary));
        if (b->llamacpp)
            *from_llamacpp =
                fmax(*from_llamacpp, row_distance(logits, b->llamacpp + at, b->vocabulary));
    }
    sampler_free(sampler);
}

static void logits_agree(void **state)
{
    (void)state;
    for (size_t k = 0; k < LONG_COUNT; k++) {
        struct bench b;
        double from_numpy, from_llamacpp;
        setup(&b, &long_cases[k]);
        distances(&b, b.model, &from_numpy, &from_llamacpp);
        print_message("%s: numpy %.1e, llama.cpp %.1e\n", long_cases[k].name, from_numpy,
                      from_llamacpp);
        assert_true(from_numpy < numpy_bound);
        assert_true(from_llamacpp <= long_cases[k].llamacpp_bound);
        teardown(&b);
    }
}

/* What a batch gives: -ln softmax(logits)[next]. */
static void batches_agree(void **state)
{
    (void)state;
    static const uint8_t all[IDS_MAX] = {[0 ... IDS_MAX - 1] = 1};
    for (size_t k = 0; k < LONG_COUNT; k++) {
        struct bench b;
        struct model_run *run = NULL;
        struct token_score scores[IDS_MAX];
        struct err err;
        setup(&b, &long_cases[k]);
        const size_t count = (size_t)b.count;
        const struct model_capacity capacity = {1, count, count, count};
        const struct model_sequence sequence = {.ids = b.ids, .losses = all, .count = count};
        assert_int_equal(model_run_new(b.model, MODEL_SCORE, &capacity, &run, &err), ERR_OK);
        model_forward(run, &sequence, 1, scores);
        for (int t = 0; t + 1 < b.count; t++) {
            const float *row = b.numpy + (size_t)t * (size_t)b.vocabulary;
            double sum = 0;
            for (int i = 0; i < b.vocabulary; i++)
                sum += exp((double)row[i]);
            const double expected = log(sum) - (double)row[b.ids[t + 1]];
            assert_true(fabs(scores[t].nats - expected) < numpy_bound);
        }
        model_run_free(run);
        teardown(&b);
    }
}

/* The cache holds a window and a block: the text is long enough to go around it. */
static void greedy_texts_are_identical(void **state)
{
    (void)state;
    for (size_t k = 0; k < LONG_COUNT; k++) {
        struct bench b;
        setup(&b, &long_cases[k]);
        struct sampler *sampler = new_sampler(b.model);
        feed(sampler, b.ids, b.prompt);
        for (int i = 0; i < b.greedy_count; i++) {
            const int32_t id = sampler_choose(sampler);
            if (id != b.greedy[i])
                fail_msg("%s: token %d is %d, not %d", long_cases[k].name, i, id, b.greedy[i]);
            feed(sampler, &id, 1);
        }
        sampler_free(sampler);
        teardown(&b);
    }
}

/* Pieces of any length leave the same text in the cache. */
static void blocks_agree(void **state)
{
    (void)state;
    static const int pieces[] = {1, 7, 63, 64, 65, 150};
    for (size_t k = 0; k < LONG_COUNT; k++) {
        struct bench b;
        setup(&b, &long_cases[k]);
        for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
            struct sampler *sampler = new_sampler(b.model);
            for (int t = 0; t < b.count; t += pieces[p])
                feed(sampler, &b.ids[t], b.count - t < pieces[p] ? b.count - t : pieces[p]);
            const float *last = b.numpy + (size_t)(b.count - 1) * (size_t)b.vocabulary;
            assert_true(row_distance(sampler_logits(sampler), last, b.vocabulary) < numpy_bound);
            sampler_free(sampler);
        }
        teardown(&b);
    }
}

/* ---- sampling ---- */

/* The stated distribution of the token after the last row: softmax(logits / temperature), its top_k
 * most probable, of these the fewest that reach top_p of their mass, made to add up to 1. */
static void stated_distribution(const float *logits, int vocabulary,
                                const struct sample_options *options, double *out)
{
    double mass = 0, kept = 0;
    bool taken[IDS_MAX] = {false};
    int order[IDS_MAX], count = options->top_k;
    for (int k = 0; k < count; k++) {
        int best = -1;
        for (int i = 0; i < vocabulary; i++) {
            if (!taken[i] && (best < 0 || logits[i] > logits[best]))
                best = i;
        }
        taken[best] = true;
        order[k] = best;
        mass += exp((double)logits[best] / options->temperature);
    }
    memset(out, 0, (size_t)vocabulary * sizeof *out);
    for (int k = 0; k < count && kept < options->top_p * mass; k++) {
        out[order[k]] = exp((double)logits[order[k]] / options->temperature);
        kept += out[order[k]];
    }
    for (int i = 0; i < vocabulary; i++)
        out[i] /= kept;
}

/* Pearson's statistic of `draws` counts; its degrees of freedom into `freedom`. */
static double chi_square(const int *counts, const double *expected, int vocabulary, int draws,
                         int *freedom)
{
    double statistic = 0;
    *freedom = -1;
    for (int i = 0; i < vocabulary; i++) {
        const double mean = draws * expected[i];
        if (expected[i] > 0) {
            statistic += (counts[i] - mean) * (counts[i] - mean) / mean;
            ++*freedom;
        } else if (counts[i] > 0) {
            return INFINITY;
        }
    }
    return statistic;
}

/* The 99.9 % point of chi-square (Wilson and Hilferty 1931); 0 for a certain outcome. */
static double chi_square_limit(int freedom)
{
    if (freedom == 0)
        return 0;
    const double v = 2.0 / (9.0 * freedom);
    return freedom * pow(1 - v + 3.0902 * sqrt(v), 3);
}

static void draws_follow_the_stated_distribution(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    const struct sample_options options = {
        .temperature = 1.6, .top_k = 20, .top_p = 0.9, .seed = 12};
    for (size_t k = 0; k < LONG_COUNT; k++) {
        struct bench b;
        struct sampler *sampler = NULL;
        struct err err;
        int counts[IDS_MAX] = {0}, freedom = 0;
        double stated[IDS_MAX], other[IDS_MAX];
        setup(&b, &long_cases[k]);
        const float *last = b.numpy + (size_t)(b.count - 1) * (size_t)b.vocabulary;
        assert_int_equal(sampler_new(b.model, &options, &sampler, &err), ERR_OK);
        feed(sampler, b.ids, b.count);
        for (int i = 0; i < DRAWS; i++)
            counts[sampler_choose(sampler)]++;
        stated_distribution(last, b.vocabulary, &options, stated);
        const double statistic = chi_square(counts, stated, b.vocabulary, DRAWS, &freedom);
        assert_true(freedom >= 4 && freedom < options.top_k - 1); /* both cuts cut */
        assert_true(statistic < chi_square_limit(freedom));
        /* The same draws do not follow neighbouring settings. */
        struct sample_options wrong[] = {options, options, options};
        wrong[0].temperature = 1.45;
        wrong[1].top_k = freedom; /* one less than were kept */
        wrong[2].top_p = 0.75;
        for (size_t i = 0; i < 3; i++) {
            stated_distribution(last, b.vocabulary, &wrong[i], other);
            const double elsewhere = chi_square(counts, other, b.vocabulary, DRAWS, &freedom);
            if (!(elsewhere > chi_square_limit(freedom)))
                fail_msg("%s, setting %zu: %g with %d", long_cases[k].name, i, elsewhere, freedom);
        }
        sampler_free(sampler);
        teardown(&b);
    }
}

/* ---- each ingredient, changed, must be visible in the logits ---- */

static void other_theta(struct model_config *c)
{
    c->rope_theta *= 1.01;
}

static void other_factor(struct model_config *c)
{
    c->rope_factor *= 1.01;
}

static void other_low(struct model_config *c)
{
    c->rope_low_factor *= 1.01;
}

static void other_original(struct model_config *c)
{
    c->rope_original_context++;
}

static void other_window(struct model_config *c)
{
    c->window++;
}

static void other_period(struct model_config *c)
{
    c->window_period++;
}

static void other_local_theta(struct model_config *c)
{
    c->rope_local_theta *= 1.01;
}

static void other_scalar(struct model_config *c)
{
    c->query_scalar++;
}

static void other_epsilon(struct model_config *c)
{
    c->norm_eps = 1e-3;
}

static const struct {
    size_t long_case;
    void (*change)(struct model_config *c);
} changes[] = {
    {0, other_theta},  {0, other_factor},  {0, other_low},    {0, other_original},
    {2, other_theta},  {3, other_epsilon}, {4, other_theta},  {4, other_factor},
    {4, other_window}, {5, other_window},  {4, other_period}, {4, other_local_theta},
    {4, other_scalar}, {6, other_period},  {6, other_scalar},
};

static void every_ingredient_matters(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct bench b;
        double from_numpy, from_llamacpp;
        setup(&b, &long_cases[changes[i].long_case]);
        struct model_config config = b.golden.config;
        changes[i].change(&config);
        struct model *changed = golden_model_of(&config);
        distances(&b, changed, &from_numpy, &from_llamacpp);
        if (!(from_numpy > numpy_bound))
            fail_msg("change %zu of %s is not seen: %g", i, long_cases[changes[i].long_case].name,
                     from_numpy);
        model_free(changed);
        teardown(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_agree),
        cmocka_unit_test(batches_agree),
        cmocka_unit_test(greedy_texts_are_identical),
        cmocka_unit_test(blocks_agree),
        cmocka_unit_test(draws_follow_the_stated_distribution),
        cmocka_unit_test(every_ingredient_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
