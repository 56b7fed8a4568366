/* The whole analysis on small grids made here: verdicts, every way a pair can be undefined, the
 * correction over declared pairs, seeds, counts and pooling. */
#include "cmocka_all.h"

#include <math.h>
#include <string.h>

#include "arena.h"
#include "assert_near.h"
#include "check.h"
#include "rng.h"
#include "stats.h"
#include "str.h"

#define POSITIONS 4 /* 0 ... k = 3 */
#define SEQUENCES 40
#define COMPARED  3 /* metrics of answers that pairs are tested on */

/* What a simulated variant is like; differences are against a common item difficulty. */
struct model {
    double content_nats, terminator_nats; /* added to every item */
    double hit_prob;
};

static const struct model PLAIN = {0.0, 0.0, 0.5};
static const struct model WORSE = {0.5, 0.0, 0.1};
static const struct model BETTER = {-0.3, 0.0, 0.9};

struct fixture {
    struct arena arena;
    struct stat_cell cells[16];
    size_t count;
    struct stat_rule rule;
    struct stat_options options;
};

static const char *const AGAINST[] = {"IT", "ST"};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    arena_init(&f->arena, 0);
    f->rule = (struct stat_rule){"PT", AGAINST, 2, STAT_TEST_PAIRED, 0.05, ADJUST_HOLM};
    f->options = (struct stat_options){.seed = 1};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_release(&f->arena);
    test_free(f);
    return 0;
}

/* Add a cell whose items share their difficulty with every other cell of the task. */
static struct stat_cell *add(struct fixture *f, const char *family, const char *variant,
                             const char *task, uint64_t seed, struct model model,
                             uint32_t sequences)
{
    struct stat_record *records =
        arena_array(&f->arena, (size_t)sequences * POSITIONS, sizeof *records);
    struct rng items = rng_new(1, task);
    struct rng root = rng_new(seed, family);
    struct rng noise = rng_child(&root, variant, 0);
    for (uint32_t i = 0; i < sequences * POSITIONS; i++) {
        double difficulty = 1.0 + rng_uniform(&items);
        records[i] = (struct stat_record){
            .sequence = i / POSITIONS,
            .position = i % POSITIONS,
            .token_count = 3,
            .content_nats = difficulty + model.content_nats + 0.2 * rng_normal(&noise),
            .terminator_nats = 0.1 + model.terminator_nats,
            .hit = rng_uniform(&noise) < model.hit_prob,
        };
    }
    struct stat_cell *cell = &f->cells[f->count++];
    *cell = (struct stat_cell){
        .family = family,
        .variant = variant,
        .format = "colon",
        .suite = "main",
        .task = task,
        .seed = seed,
        .last_position = POSITIONS - 1,
        .pairing = task,
        .records = records,
        .record_count = sequences * POSITIONS,
        .records_expected = sequences * POSITIONS,
    };
    return cell;
}

static void add_trio(struct fixture *f, const char *family, const char *task, uint64_t seed,
                     struct model instruct, struct model spectrum)
{
    add(f, family, "PT", task, seed, PLAIN, SEQUENCES);
    add(f, family, "IT", task, seed, instruct, SEQUENCES);
    add(f, family, "ST", task, seed, spectrum, SEQUENCES);
}

static struct stats *analyse(struct fixture *f)
{
    struct stats *stats = NULL;
    struct err err = {0};
    enum err_code code =
        stats_analyse(f->cells, f->count, &f->rule, 1, &f->options, &f->arena, &stats, &err);
    if (code != ERR_OK)
        print_error("%s\n", err.text);
    assert_int_equal(code, ERR_OK);
    return stats;
}

static const struct comparison *pair(const struct stats *stats, size_t row, const char *against,
                                     enum stat_metric metric)
{
    const struct comparison *c =
        stats_find_comparison(stats, &stats->rules[0], &stats->rows[row], against, metric);
    assert_non_null(c);
    return c;
}

static void test_verdicts_follow_the_sign(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, BETTER);
    struct stats *stats = analyse(f);
    assert_int_equal(stats->comparison_count, 2 * COMPARED);
    assert_int_equal(pair(stats, 0, "IT", STAT_LOSS)->verdict, STAT_WORSE);
    assert_int_equal(pair(stats, 0, "ST", STAT_LOSS)->verdict, STAT_BETTER);
    assert_int_equal(pair(stats, 0, "IT", STAT_ACCURACY)->verdict, STAT_WORSE);
    assert_int_equal(pair(stats, 0, "ST", STAT_ACCURACY)->verdict, STAT_BETTER);
    const struct comparison *c = pair(stats, 0, "IT", STAT_LOSS);
    assert_true(c->difference.mean > 0.4 && c->difference.lo > 0.0);
    assert_true(c->bootstrap.lo < c->difference.mean && c->difference.mean < c->bootstrap.hi);
    assert_int_equal(c->difference.records, SEQUENCES * (POSITIONS - 1)); /* not position 0 */
    assert_int_equal(c->difference.clusters, SEQUENCES);
}

static void test_difference_of_means_is_mean_of_differences(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, BETTER);
    struct stats *stats = analyse(f);
    for (size_t m = 0; m < COMPARED; m++) {
        const struct comparison *c = pair(stats, 0, "ST", (enum stat_metric)m);
        assert_near(c->difference.mean,
                    c->against->summary[STAT_IN_CONTEXT][m].mean -
                        c->baseline->summary[STAT_IN_CONTEXT][m].mean,
                    1e-13);
    }
    /* Pairing removes the items' difficulty: the paired error is the smaller one. */
    const struct comparison *c = pair(stats, 0, "IT", STAT_LOSS);
    assert_true(c->difference.se < 0.6 * hypot(c->baseline->summary[0][STAT_LOSS].se,
                                               c->against->summary[0][STAT_LOSS].se));
}

static void test_scopes_take_their_positions(void **state)
{
    struct fixture *f = *state;
    add(f, "toy", "PT", "flight", 42, PLAIN, SEQUENCES);
    struct stats *stats = analyse(f);
    const struct stat_arm *arm = &stats->arms[0];
    double first = 0.0, last = 0.0;
    for (uint32_t i = 0; i < SEQUENCES * POSITIONS; i++) {
        const struct stat_record *r = &f->cells[0].records[i];
        first += r->position == 0 ? r->content_nats + r->terminator_nats : 0.0;
        last += r->position == POSITIONS - 1 ? r->content_nats + r->terminator_nats : 0.0;
    }
    assert_near(arm->summary[STAT_ZERO_SHOT][STAT_LOSS].mean, first / SEQUENCES, 1e-13);
    assert_near(arm->summary[STAT_LAST][STAT_LOSS].mean, last / SEQUENCES, 1e-13);
    assert_near(arm->positions[POSITIONS - 1].metric[STAT_LOSS].mean, last / SEQUENCES, 1e-13);
    assert_int_equal(arm->summary[STAT_IN_CONTEXT][STAT_LOSS].records, SEQUENCES * 3);
}

static void assert_undefined(const struct stats *stats, const char *reason)
{
    const struct comparison *c = pair(stats, 0, "IT", STAT_LOSS);
    assert_int_equal(c->verdict, STAT_UNDEFINED);
    assert_string_equal(c->reason, reason);
    assert_true(isnan(c->p_adjusted));
    assert_int_equal(pair(stats, 0, "ST", STAT_LOSS)->verdict, STAT_BETTER); /* it still counts */
}

static void test_missing_side_is_undefined(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, BETTER);
    f->cells[1].state = STAT_CELL_MISSING;
    f->cells[1].reason = "job failed: out of memory";
    struct stats *stats = analyse(f);
    assert_undefined(stats, "IT is missing: job failed: out of memory");
    assert_true(isnan(pair(stats, 0, "IT", STAT_LOSS)->difference.mean));
    assert_true(isnan(stats_find_arm(stats, &stats->rows[0], "IT")->summary[0][STAT_LOSS].mean));
}

static void test_absent_cell_is_undefined(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, BETTER);
    f->cells[1] = f->cells[2];
    f->count = 2;
    assert_undefined(analyse(f), "IT is missing: the grid has no such cell");
}

/* A person's reason may be long and in any language: cut between characters, or no JSON could hold
 * it. */
static void test_long_reason_is_cut_between_characters(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, BETTER);
    for (int shift = 0; shift < 4; shift++) {
        char why[400] = "xxx";
        for (size_t i = (size_t)shift; i + 5 < sizeof why; i += 4)
            memcpy(why + i, "\xf0\x9f\x98\x80", 5);
        f->cells[1].state = STAT_CELL_MISSING;
        f->cells[1].reason = why;
        const struct stats *stats = analyse(f);
        const char *pair_reason = pair(stats, 0, "IT", STAT_LOSS)->reason;
        const char *arm_reason = stats_find_arm(stats, &stats->rows[0], "IT")->reason;
        assert_true(str_is_utf8(pair_reason, strlen(pair_reason)));
        assert_true(str_is_utf8(arm_reason, strlen(arm_reason)));
        assert_string_equal(arm_reason + strlen(arm_reason) - 3, "…");
        assert_true(strlen(arm_reason) > STAT_REASON_SIZE - 8);
    }
}

static void test_incomplete_cell_is_missing(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, BETTER);
    f->cells[1].record_count -= 1;
    assert_undefined(analyse(f), "IT is missing: 159 of 160 records are there");
}

static void test_repeated_record_is_refused(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, BETTER);
    struct stat_record *records =
        arena_memdup(&f->arena, f->cells[1].records, f->cells[1].record_count * sizeof *records);
    records[7] = records[6];
    f->cells[1].records = records;
    assert_undefined(analyse(f), "IT is missing: sequence 1 position 2 is there twice");
}

static void test_not_a_number_is_never_dropped(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, BETTER);
    struct stat_record *records =
        arena_memdup(&f->arena, f->cells[1].records, f->cells[1].record_count * sizeof *records);
    records[5].content_nats = (double)NAN;
    records[9].terminator_nats = (double)INFINITY;
    f->cells[1].records = records;
    struct stats *stats = analyse(f);
    assert_undefined(stats, "2 of IT's losses are not finite numbers");
    assert_int_equal(pair(stats, 0, "IT", STAT_ACCURACY)->verdict, STAT_UNDEFINED);
    assert_true(isnan(stats_find_arm(stats, &stats->rows[0], "IT")->summary[0][STAT_LOSS].mean));
}

static void test_different_examples_are_undefined(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, BETTER);
    f->cells[1].pairing = "0123456789abcdef";
    assert_undefined(analyse(f), "the examples differ: pairing digest flight... against "
                                 "0123456789ab...");
}

static void test_different_items_are_undefined(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, BETTER);
    struct stat_record *records =
        arena_memdup(&f->arena, f->cells[1].records, f->cells[1].record_count * sizeof *records);
    records[159].sequence = 99;
    f->cells[1].records = records;
    assert_undefined(analyse(f), "the items differ: sequence 39 position 3 is on one side only");
}

static void test_equal_sides_are_undefined(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, BETTER);
    f->cells[1].records = f->cells[0].records;
    struct stats *stats = analyse(f);
    assert_undefined(stats, "all 40 paired differences are zero");
    assert_near(pair(stats, 0, "IT", STAT_LOSS)->p, 1.0, 0.0);
}

static void test_few_sequences_show_p_without_a_verdict(void **state)
{
    struct fixture *f = *state;
    add(f, "toy", "PT", "flight", 42, PLAIN, 7);
    add(f, "toy", "IT", "flight", 42, WORSE, 7);
    add(f, "toy", "ST", "flight", 42, BETTER, 7);
    const struct comparison *c = pair(analyse(f), 0, "IT", STAT_LOSS);
    assert_int_equal(c->verdict, STAT_UNDEFINED);
    assert_string_equal(c->reason, "7 sequences; a verdict needs at least 8");
    assert_true(c->permutation.exact);
    assert_near(c->p, 2.0 / 128.0, 0.0); /* all seven have one sign */
}

static void test_content_only_disagreement_is_marked(void **state)
{
    struct fixture *f = *state;
    /* IT loses on the terminator alone; ST on both. */
    add_trio(f, "toy", "flight", 42, (struct model){0.0, 0.6, 0.5}, WORSE);
    struct stats *stats = analyse(f);
    assert_int_equal(pair(stats, 0, "IT", STAT_LOSS)->verdict, STAT_WORSE);
    assert_int_equal(pair(stats, 0, "IT", STAT_CONTENT_LOSS)->verdict, STAT_NO_DIFFERENCE);
    assert_true(pair(stats, 0, "IT", STAT_LOSS)->content_disagrees);
    assert_true(pair(stats, 0, "IT", STAT_CONTENT_LOSS)->content_disagrees);
    assert_false(pair(stats, 0, "ST", STAT_LOSS)->content_disagrees);
}

static void test_correction_is_over_declared_pairs_of_a_metric(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, PLAIN);
    add_trio(f, "toy", "votes", 42, PLAIN, PLAIN);
    f->cells[5].state = STAT_CELL_MISSING; /* declared all the same */
    struct stats *stats = analyse(f);
    const struct comparison *c = pair(stats, 0, "IT", STAT_LOSS);
    assert_near(c->p_adjusted, 4.0 * c->p, 1e-15);
    f->rule.correction = ADJUST_NONE;
    assert_near(pair(analyse(f), 0, "IT", STAT_LOSS)->p_adjusted, c->p, 0.0);
}

static void test_another_pair_does_not_change_the_flips(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, (struct model){0.03, 0, 0.5}, PLAIN);
    double alone = pair(analyse(f), 0, "IT", STAT_LOSS)->p;
    add_trio(f, "toy", "votes", 42, PLAIN, PLAIN);
    assert_near(pair(analyse(f), 0, "IT", STAT_LOSS)->p, alone, 0.0);
    f->options.seed = 2;
    assert_true(fabs(pair(analyse(f), 0, "IT", STAT_LOSS)->p - alone) > 0.0);
}

static void test_record_order_does_not_matter(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, BETTER);
    struct comparison before = *pair(analyse(f), 0, "IT", STAT_LOSS);
    const uint32_t count = f->cells[1].record_count;
    struct stat_record *reversed = arena_array(&f->arena, count, sizeof *reversed);
    for (uint32_t i = 0; i < count; i++)
        reversed[i] = f->cells[1].records[count - 1 - i];
    f->cells[1].records = reversed;
    struct comparison after = *pair(analyse(f), 0, "IT", STAT_LOSS);
    assert_near(after.difference.lo, before.difference.lo, 0.0);
    assert_memory_equal(&before.p, &after.p, sizeof before.p);
}

static void test_seeds_share_the_clusters_of_their_data_set(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seed = 43; seed >= 42; seed--) /* given in any order */
        add_trio(f, "toy", "flight", seed, WORSE, BETTER);
    struct stats *stats = analyse(f);
    const struct comparison *c = pair(stats, 0, "IT", STAT_LOSS);
    assert_int_equal(stats->seed_count_max, 2);
    assert_int_equal(c->difference.clusters, SEQUENCES);
    assert_int_equal(c->difference.records, 2 * SEQUENCES * (POSITIONS - 1));
    for (size_t i = 0; i < 3; i++)
        f->cells[i].pairing = "other examples";
    assert_int_equal(pair(analyse(f), 0, "IT", STAT_LOSS)->difference.clusters, 2 * SEQUENCES);
}

static void test_missing_seed_is_never_averaged_away(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, BETTER);
    add_trio(f, "toy", "flight", 43, WORSE, BETTER);
    f->cells[4].state = STAT_CELL_MISSING;
    f->cells[4].reason = "cancelled";
    assert_undefined(analyse(f), "IT is missing: seed 43: cancelled");
    f->cells[4] = f->cells[5];
    f->count = 5; /* the manifest never had that one */
    assert_undefined(analyse(f), "the seeds differ: PT has 2, IT has 1 of them");
}

static void test_mcnemar_stands_beside_accuracy(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, PLAIN);
    struct stat_record *records =
        arena_memdup(&f->arena, f->cells[0].records, f->cells[0].record_count * sizeof *records);
    for (uint32_t i = 0; i < 20; i++) /* 15 of them are not at position 0 */
        records[i].hit = !records[i].hit;
    f->cells[2].records = records;
    struct stats *stats = analyse(f);
    const struct comparison *few = pair(stats, 0, "ST", STAT_ACCURACY);
    assert_int_equal(few->gained + few->lost, 15);
    assert_true(!isnan(few->mcnemar_p));
    const struct comparison *many = pair(stats, 0, "IT", STAT_ACCURACY);
    assert_true(many->gained + many->lost > COMPARE_DISCORDANT_MAX);
    assert_true(isnan(many->mcnemar_p));
    assert_true(isnan(pair(stats, 0, "ST", STAT_LOSS)->mcnemar_p));
}

static void test_paper_like_mode_is_unpaired_and_uncorrected(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "toy", "flight", 42, WORSE, BETTER);
    f->cells[1].pairing = "other examples"; /* no obstacle to an unpaired test */
    f->rule.test = STAT_TEST_PAPER_LIKE;
    const struct comparison *c = pair(analyse(f), 0, "IT", STAT_LOSS);
    double z = (c->against->summary[0][STAT_LOSS].mean - c->baseline->summary[0][STAT_LOSS].mean) /
               hypot(c->against->se_independent[STAT_LOSS], c->baseline->se_independent[STAT_LOSS]);
    assert_near(c->unpaired_z, z, 1e-12);
    assert_near(c->p_adjusted, estimate_normal_p(z), 1e-15);
    assert_int_equal(c->verdict, STAT_WORSE);
    assert_true(isnan(c->difference.mean));
}

static void test_independent_error_takes_the_headline_positions(void **state)
{
    struct fixture *f = *state;
    add(f, "toy", "PT", "flight", 42, PLAIN, SEQUENCES);
    double values[SEQUENCES * POSITIONS];
    size_t count = 0;
    for (uint32_t i = 0; i < SEQUENCES * POSITIONS; i++)
        if (f->cells[0].records[i].position >= 1)
            values[count++] = stat_record_value(&f->cells[0].records[i], STAT_LOSS);
    assert_near(analyse(f)->arms[0].se_independent[STAT_LOSS],
                estimate_se_independent(values, count), 0.0);
}

static const struct stat_count *count_of(const struct stats *stats, const char *against,
                                         const char *name)
{
    for (size_t i = 0; i < stats->count_count; i++)
        if (stats->counts[i].metric == STAT_LOSS &&
            strcmp(stats->counts[i].against, against) == 0 &&
            strcmp(stats->counts[i].name, name) == 0)
            return &stats->counts[i];
    fail_msg("no count for %s in '%s'", against, name);
    return NULL;
}

static void test_counts_and_pooling_over_families(void **state)
{
    struct fixture *f = *state;
    add_trio(f, "small", "flight", 42, WORSE, BETTER);
    add_trio(f, "large", "flight", 42, WORSE, BETTER);
    f->cells[5].state = STAT_CELL_MISSING;
    f->cells[5].reason = "not run";
    struct stats *stats = analyse(f);
    assert_int_equal(count_of(stats, "IT", "")->verdicts[STAT_WORSE], 2);
    assert_int_equal(count_of(stats, "IT", "large")->total, 1);
    assert_int_equal(count_of(stats, "ST", "")->verdicts[STAT_BETTER], 1);
    assert_int_equal(count_of(stats, "ST", "")->verdicts[STAT_UNDEFINED], 1);
    assert_int_equal(count_of(stats, "ST", "")->total, 2);
    assert_int_equal(stats->pooled_count, 2 * COMPARED);
    assert_near(stats->pooled[0].effects.mean, 0.5, 0.1);
    assert_string_equal(stats->pooled[1].against, "ST");
    assert_true(isnan(stats->pooled[1].effects.mean)); /* not the mean of the one that is there */
    assert_string_equal(stats->pooled[1].reason,
                        "large has no effect to pool: ST is missing: not run");
}

static void test_senseless_input_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct stats *stats = NULL;
    struct err err;
    add_trio(f, "toy", "flight", 42, WORSE, BETTER);
    f->rule.alpha = 0.0;
    assert_int_equal(
        stats_analyse(f->cells, f->count, &f->rule, 1, &f->options, &f->arena, &stats, &err),
        ERR_INVALID);
    f->rule.alpha = 0.05;
    f->cells[2].variant = "IT";
    assert_int_equal(
        stats_analyse(f->cells, f->count, &f->rule, 1, &f->options, &f->arena, &stats, &err),
        ERR_INVALID);
    assert_string_equal(err.text, "two cells for toy IT on 'flight' with seed 42");
    assert_null(stats);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_verdicts_follow_the_sign),
        CASE(test_difference_of_means_is_mean_of_differences),
        CASE(test_scopes_take_their_positions),
        CASE(test_missing_side_is_undefined),
        CASE(test_absent_cell_is_undefined),
        CASE(test_long_reason_is_cut_between_characters),
        CASE(test_incomplete_cell_is_missing),
        CASE(test_repeated_record_is_refused),
        CASE(test_not_a_number_is_never_dropped),
        CASE(test_different_examples_are_undefined),
        CASE(test_different_items_are_undefined),
        CASE(test_equal_sides_are_undefined),
        CASE(test_few_sequences_show_p_without_a_verdict),
        CASE(test_content_only_disagreement_is_marked),
        CASE(test_correction_is_over_declared_pairs_of_a_metric),
        CASE(test_another_pair_does_not_change_the_flips),
        CASE(test_record_order_does_not_matter),
        CASE(test_seeds_share_the_clusters_of_their_data_set),
        CASE(test_missing_seed_is_never_averaged_away),
        CASE(test_mcnemar_stands_beside_accuracy),
        CASE(test_paper_like_mode_is_unpaired_and_uncorrected),
        CASE(test_independent_error_takes_the_headline_positions),
        CASE(test_counts_and_pooling_over_families),
        CASE(test_senseless_input_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
