/* Calibration, divergences, generation counts and text diversity against numpy and nltk, from
 * stored logits and texts (tests/oracle/metric_cases.py), and their corner cases. */
#include "cmocka_all.h"

#include <math.h>
#include <string.h>

#include "assert_near.h"
#include "calibration.h"
#include "check.h"
#include "divergence.h"
#include "generations.h"
#include "text_diversity.h"

#include "metric_cases.inc"

#define TOLERANCE 1e-9

/* What the evaluator stores of a token, from its logits: every probability above the floor. */
static size_t entries_of(const float *logits, const int32_t *targets, size_t tokens,
                         size_t vocabulary, struct calibration_entry *out)
{
    size_t count = 0;
    for (size_t t = 0; t < tokens; t++, logits += vocabulary) {
        double sum = 0.0;
        for (size_t v = 0; v < vocabulary; v++)
            sum += exp((double)logits[v]);
        for (size_t v = 0; v < vocabulary; v++) {
            const double log_p = (double)logits[v] - log(sum);
            if (exp(log_p) > CALIBRATION_FLOOR)
                out[count++] = (struct calibration_entry){log_p, (int32_t)v == targets[t]};
        }
    }
    return count;
}

#define CHECK_CALIBRATION(name)                                                                    \
    do {                                                                                           \
        struct arena arena = {0};                                                                  \
        struct calibration_entry *entries =                                                        \
            arena_array(&arena, ARRAY_COUNT(name##_logits), sizeof *entries);                      \
        size_t count = entries_of(name##_logits, name##_targets, ARRAY_COUNT(name##_targets),      \
                                  (size_t)name##_vocabulary, entries);                             \
        assert_int_equal(count, (size_t)name##_entries);                                           \
        const double expected[CALIBRATION_KIND_COUNT] = {                                          \
            name##_equal_mass, name##_equal_mass_weighted, name##_equal_width};                    \
        for (int kind = 0; kind < CALIBRATION_KIND_COUNT; kind++) {                                \
            struct calibration c =                                                                 \
                calibration_measure(entries, count, (enum calibration_kind)kind, &arena);          \
            assert_near(c.error, expected[kind], TOLERANCE);                                       \
            assert_int_equal(c.entries, count);                                                    \
        }                                                                                          \
        arena_release(&arena);                                                                     \
    } while (0)

static void test_calibration_matches_numpy(void **state)
{
    (void)state;
    CHECK_CALIBRATION(many);
    CHECK_CALIBRATION(ties);
    CHECK_CALIBRATION(few);
    /* The kinds differ here, or the test would not tell them apart. */
    assert_true(fabs(many_equal_mass - many_equal_mass_weighted) > 1e-6);
    assert_true(fabs(many_equal_mass - many_equal_width) > 1e-3);
}

static void test_calibration_without_entries_is_nan(void **state)
{
    (void)state;
    struct arena arena = {0};
    const struct calibration_entry bad = {(double)NAN, true};
    assert_true(isnan(calibration_measure(NULL, 0, CALIBRATION_EQUAL_MASS, &arena).error));
    assert_true(isnan(calibration_measure(&bad, 1, CALIBRATION_EQUAL_WIDTH, &arena).error));
    const struct calibration_entry sure = {0.0, true};
    assert_near(calibration_measure(&sure, 1, CALIBRATION_EQUAL_WIDTH, &arena).error, 0.0, 0.0);
    arena_release(&arena);
}

static void check_divergence(const double *target, const double *log_p, size_t count,
                             const double expected[6])
{
    const struct divergence d = divergence_measure(target, log_p, count, DIVERGENCE_EPSILON);
    assert_near(d.js, expected[0], TOLERANCE);
    assert_near(d.kl, expected[1], TOLERANCE);
    assert_near(d.reverse_kl, expected[2], TOLERANCE);
    assert_near(d.cross_entropy, expected[3], TOLERANCE);
    assert_near(d.mode_match, expected[4], 0.0);
    assert_near(d.coverage, expected[5], TOLERANCE);
}
#define CHECK_DIVERGENCE(name)                                                                     \
    check_divergence(name##_target, name##_log_p, ARRAY_COUNT(name##_target), name##_expected)

static void test_divergences_match_numpy(void **state)
{
    (void)state;
    CHECK_DIVERGENCE(skewed);
    CHECK_DIVERGENCE(uniform);
    CHECK_DIVERGENCE(tied_modes);
}

static void test_divergence_limits(void **state)
{
    (void)state;
    const double target[2] = {1, 3}, same[2] = {log(0.1), log(0.3)};
    struct divergence d = divergence_measure(target, same, 2, DIVERGENCE_EPSILON);
    assert_near(d.js, 0.0, 1e-15);
    assert_near(d.coverage, 0.4, 1e-15);
    /* Masses too small for a double keep their ratio. */
    d = divergence_measure(tiny_target, tiny_log_p, 2, DIVERGENCE_EPSILON);
    assert_near(d.js, divergence_measure(target, (double[]){0.0, -1.5}, 2, 1e-6).js, 1e-12);
    assert_near(d.mode_match, 0.0, 0.0);
    /* Nothing in common: the largest JS there is, less what epsilon takes. */
    d = divergence_measure((double[]){1, 0}, (double[]){-INFINITY, 0.0}, 2, DIVERGENCE_EPSILON);
    assert_true(d.js < log(2.0) && d.js > log(2.0) - 1e-4);
    d = divergence_measure(target, (double[]){-INFINITY, -INFINITY}, 2, DIVERGENCE_EPSILON);
    assert_true(isnan(d.js) && isnan(d.mode_match));
    assert_near(d.coverage, 0.0, 0.0);
    assert_true(isnan(divergence_measure(target, (double[]){(double)NAN, 0.0}, 2, 1e-6).coverage));
}

static void check_generations(const char *const *texts, const bool *valid, size_t count,
                              uint64_t allowed, const double expected[11])
{
    struct arena arena = {0};
    struct generation *samples = arena_array(&arena, count, sizeof *samples);
    for (size_t i = 0; i < count; i++)
        samples[i] = (struct generation){texts[i], valid[i]};
    const struct generation_counts c = generations_count(samples, count, allowed, &arena);
    assert_int_equal(c.samples, (uint64_t)expected[0]);
    assert_int_equal(c.valid, (uint64_t)expected[1]);
    assert_int_equal(c.unique_valid, (uint64_t)expected[2]);
    assert_int_equal(c.unique, (uint64_t)expected[3]);
    assert_near(c.valid_share, expected[4], TOLERANCE);
    assert_near(c.diversity, expected[5], TOLERANCE);
    assert_near(c.usable_share, expected[6], TOLERANCE);
    assert_near(c.unique_share, expected[7], TOLERANCE);
    assert_near(c.collision, expected[8], TOLERANCE);
    assert_near(c.collision_se, expected[9], TOLERANCE);
    if (isnan(expected[10]))
        assert_true(isnan(c.list_coverage));
    else
        assert_near(c.list_coverage, expected[10], TOLERANCE);
    arena_release(&arena);
}
#define CHECK_GENERATIONS(name, allowed)                                                           \
    check_generations(name##_texts, name##_valid, ARRAY_COUNT(name##_texts), allowed,              \
                      name##_expected)

static void test_generation_counts(void **state)
{
    (void)state;
    CHECK_GENERATIONS(days, 21);
    CHECK_GENERATIONS(nothing_valid, 0);
    CHECK_GENERATIONS(one_valid, 0);
    struct arena arena = {0};
    assert_true(isnan(generations_count(NULL, 0, 0, &arena).valid_share));
    arena_release(&arena);
}

static void test_pareto_front(void **state)
{
    (void)state;
    struct pareto_point points[] = {
        {0.9, 0.2, false},         {0.5, 0.5, false}, {0.9, 0.1, false}, {0.5, 0.5, false},
        {(double)NAN, 1.0, false}, {0.2, 0.9, false}, {0.2, 0.8, false},
    };
    static const bool expected[] = {true, true, false, true, false, true, false};
    pareto_front(points, ARRAY_COUNT(points));
    for (size_t i = 0; i < ARRAY_COUNT(points); i++)
        assert_int_equal(points[i].on_front, expected[i]);
}

static void assert_entropy(struct entropy e, const double expected[3])
{
    assert_near(e.plug_in, expected[0], TOLERANCE);
    assert_near(e.miller_madow, expected[1], TOLERANCE);
    assert_near(e.chao_shen, expected[2], TOLERANCE);
}

static void check_texts(const char *const *texts, size_t count, const double expected[13])
{
    struct arena arena = {0};
    const struct text_diversity d = text_diversity_measure(texts, count, &arena);
    assert_int_equal(d.words, (uint64_t)expected[0]);
    assert_near(d.words_mean, expected[1], TOLERANCE);
    for (size_t n = 0; n < TEXT_NGRAM_MAX; n++)
        assert_near(d.distinct[n], expected[2 + n], TOLERANCE);
    assert_near(d.self_bleu, expected[6], TOLERANCE);
    assert_entropy(d.of_texts, expected + 7);
    assert_entropy(d.of_words, expected + 10);
    arena_release(&arena);
}
#define CHECK_TEXTS(name) check_texts(name##_texts, ARRAY_COUNT(name##_texts), name##_expected)

static void test_text_diversity_matches_nltk(void **state)
{
    (void)state;
    CHECK_TEXTS(free);
    CHECK_TEXTS(same);
    CHECK_TEXTS(different);
}

static void test_text_diversity_of_little(void **state)
{
    (void)state;
    struct arena arena = {0};
    const char *const one[] = {"alone here"}, *const empty[] = {"", "  "};
    assert_true(isnan(text_diversity_measure(one, 1, &arena).self_bleu));
    const struct text_diversity d = text_diversity_measure(empty, 2, &arena);
    assert_int_equal(d.words, 0);
    assert_true(isnan(d.distinct[0]) && isnan(d.of_words.plug_in));
    assert_near(d.self_bleu, 0.0, 0.0);
    assert_true(isnan(text_diversity_measure(NULL, 0, &arena).words_mean));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calibration_matches_numpy),
        cmocka_unit_test(test_calibration_without_entries_is_nan),
        cmocka_unit_test(test_divergences_match_numpy),
        cmocka_unit_test(test_divergence_limits),
        cmocka_unit_test(test_generation_counts),
        cmocka_unit_test(test_pareto_front),
        cmocka_unit_test(test_text_diversity_matches_nltk),
        cmocka_unit_test(test_text_diversity_of_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
