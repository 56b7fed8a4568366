/* One report with everything that can happen in it (missing cell, NaN, two families, content-only
 * disagreement) in all five renderings, against goldens; and what must hold whatever they say.
 * UPDATE_GOLDEN=1 rewrites the goldens; review the diff. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "arena.h"
#include "check.h"
#include "file.h"
#include "report.h"
#include "rng.h"

#define SEQUENCES 10
#define COMPARED  3 /* metrics of answers that pairs are tested on */
#define POSITIONS 3 /* k = 2 */
#define RECORDS   (SEQUENCES * POSITIONS)

struct shift {
    double content_nats, terminator_nats;
    double hit_prob;
};

/* By variant: IT loses on the terminator alone, ST wins on both. */
static const struct shift SHIFTS[] = {{0.0, 0.0, 0.5}, {0.03125, 0.75, 0.25}, {-0.5, 0.0, 0.875}};
static const char *const VARIANTS[] = {"PT", "IT", "ST"};
static const char *const FORMATS[] = {"colon", "chat", "spectrum"};
static const char *const TASKS[] = {"flight", "votes_1984", "a|b & c"};
static const char *const FAMILIES[] = {"llama-tiny", "llama-small"};
static const char *const NOTES[] = {"These families are toys and the mixture is ours."};
static const struct report_fact FACTS[] = {{"machine", "a test"}};

#define CELL_COUNT (ARRAY_COUNT(FAMILIES) * ARRAY_COUNT(TASKS) * ARRAY_COUNT(VARIANTS))

struct fixture {
    struct arena arena;
    struct stat_cell cells[CELL_COUNT];
    struct stat_record records[CELL_COUNT][RECORDS];
    struct stat_rule rule;
    struct report_info info;
};

/* Values are dyadic fractions: no libm is asked, so the digits are the same everywhere. */
static void fill_records(struct stat_record *records, size_t family, size_t task, size_t variant)
{
    struct rng items = rng_new(task, "items");
    struct rng noise = rng_new(family * 100 + task * 10 + variant, "noise");
    const struct shift *shift = &SHIFTS[variant];
    for (uint32_t i = 0; i < RECORDS; i++) {
        records[i] = (struct stat_record){
            .sequence = i / POSITIONS,
            .position = i % POSITIONS,
            .content_nats = 1.0 + (double)rng_below(&items, 64) / 64.0 + shift->content_nats +
                            (double)rng_below(&noise, 16) / 64.0,
            .terminator_nats = 0.25 + shift->terminator_nats,
            .token_count = 3,
            .hit_tokens = 2,
            .first_hit = true,
            .hit = rng_uniform(&noise) < shift->hit_prob,
        };
    }
}

static void fill_cell(struct fixture *f, size_t index, size_t family, size_t task, size_t variant)
{
    fill_records(f->records[index], family, task, variant);
    f->cells[index] = (struct stat_cell){
        .family = FAMILIES[family],
        .variant = VARIANTS[variant],
        .format = FORMATS[variant],
        .suite = "main",
        .task = TASKS[task],
        .seed = 42,
        .last_position = POSITIONS - 1,
        .pairing = TASKS[task],
        .records = f->records[index],
        .record_count = RECORDS,
        .records_expected = RECORDS,
        .provenance = {.job = arena_printf(&f->arena, "%064zx", index + 1),
                       .model = "feedfacefeedfacefeedface",
                       .attempt = "1",
                       .artifact = "0123456789abcdef0123456789abcdef"},
    };
}

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    arena_init(&f->arena, 0);
    size_t index = 0;
    for (size_t family = 0; family < ARRAY_COUNT(FAMILIES); family++)
        for (size_t task = 0; task < ARRAY_COUNT(TASKS); task++)
            for (size_t variant = 0; variant < ARRAY_COUNT(VARIANTS); variant++)
                fill_cell(f, index++, family, task, variant);
    f->cells[5].state = STAT_CELL_MISSING;
    f->cells[5].reason = "job failed: out of memory on every worker";
    f->records[7][4].content_nats = (double)NAN;
    f->rule = (struct stat_rule){"PT", &VARIANTS[1], 2, STAT_TEST_PAIRED, 0.05, ADJUST_HOLM};
    f->info = (struct report_info){"From manifest to table", "quickstart", NOTES,
                                   ARRAY_COUNT(NOTES),       FACTS,        ARRAY_COUNT(FACTS)};
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

static struct report *build(struct fixture *f)
{
    struct stats *stats;
    const struct stat_options options = {.seed = 7, .bootstrap_resamples = 500};
    assert_int_equal(
        stats_analyse(f->cells, CELL_COUNT, &f->rule, 1, &options, &f->arena, &stats, NULL),
        ERR_OK);
    return report_build(&f->info, stats, &f->arena);
}

/* One pair under two rules: every table says by which, and no title claims the wrong interval. */
static void test_rules_of_one_pair_are_told_apart(void **state)
{
    struct fixture *f = *state;
    struct stats *stats;
    struct strbuf out = {0};
    const struct stat_rule rules[] = {
        f->rule, {"PT", &VARIANTS[1], 2, STAT_TEST_PAPER_LIKE, 0.01, ADJUST_NONE}};
    const struct stat_options options = {.seed = 7, .bootstrap_resamples = 500};
    assert_int_equal(
        stats_analyse(f->cells, CELL_COUNT, rules, 2, &options, &f->arena, &stats, NULL), ERR_OK);
    report_render_markdown(report_build(&f->info, stats, &f->arena), &out);
    const char *const wanted[] = {"IT against PT (rule 1)",
                                  "IT against PT (rule 2)",
                                  "| IT against PT (rule 2) | loss",
                                  "| IT - PT (rule 1) | loss",
                                  "| IT - PT (rule 2) | loss",
                                  "mean Δ | 1 - alpha CI |",
                                  "99 % CI of Δ",
                                  "Verdicts against PT (rule 2): paper-like, p below 0.01"};
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++)
        if (!strstr(strbuf_text(&out), wanted[i]))
            fail_msg("the report lacks '%s'", wanted[i]);
    strbuf_release(&out);
}

static void check_golden(const char *name, const struct strbuf *actual)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/golden/report/%s", TRIAD_SOURCE_DIR, name);
    struct err err;
    if (getenv("UPDATE_GOLDEN")) {
        assert_int_equal(file_write_atomic(path, actual->data, actual->len, 0644, &err), ERR_OK);
        return;
    }
    char *expected = NULL;
    size_t len = 0;
    if (file_read(path, 0, &expected, &len, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_string_equal(strbuf_text(actual), expected);
    free(expected);
}

static void test_text(void **state)
{
    struct strbuf out = {0};
    report_render_text(build(*state), 100, &out);
    check_golden("report.txt", &out);
    strbuf_release(&out);
}

static void test_markdown(void **state)
{
    struct strbuf out = {0};
    report_render_markdown(build(*state), &out);
    check_golden("report.md", &out);
    strbuf_release(&out);
}

static void test_latex(void **state)
{
    struct strbuf out = {0};
    report_render_latex(build(*state), &out);
    check_golden("report.tex", &out);
    strbuf_release(&out);
}

static void test_csv(void **state)
{
    struct strbuf out = {0};
    report_render_csv(build(*state), &out);
    check_golden("report.csv", &out);
    strbuf_release(&out);
}

static void test_json(void **state)
{
    struct strbuf out = {0};
    assert_int_equal(report_render_json(build(*state), &out, NULL), ERR_OK);
    check_golden("report.json", &out);
    strbuf_release(&out);
}

static size_t display_width(const char *line, size_t len)
{
    size_t width = 0;
    for (size_t i = 0; i < len; i++)
        width += ((unsigned char)line[i] & 0xc0) != 0x80;
    return width;
}

static void test_text_keeps_to_its_width(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < CELL_COUNT; i++)
        if (strcmp(f->cells[i].task, "flight") == 0)
            f->cells[i].task = "preferences_between_flights_of_one_traveller";
    struct strbuf narrow = {0};
    struct strbuf wide = {0};
    struct report *report = build(f);
    report_render_text(report, 80, &narrow);
    report_render_text(report, 0, &wide);
    assert_non_null(strstr(wide.data, "preferences_between_flights_of_one_traveller"));
    assert_null(strstr(wide.data, "…"));
    assert_non_null(strstr(narrow.data, "\npreferences_"));
    assert_non_null(strstr(narrow.data, "…"));
    for (const char *line = narrow.data; *line;) {
        size_t len = strcspn(line, "\n");
        assert_true(display_width(line, len) <= 80);
        line += len + (line[len] == '\n');
    }
    strbuf_release(&narrow);
    strbuf_release(&wide);
}

static void test_csv_does_not_know_the_run(void **state)
{
    struct fixture *f = *state;
    struct strbuf first = {0};
    struct strbuf second = {0};
    report_render_csv(build(f), &first);
    for (size_t i = 0; i < CELL_COUNT; i++)
        f->cells[i].provenance.attempt = "another attempt";
    f->info.fact_count = 0;
    report_render_csv(build(f), &second);
    assert_string_equal(first.data, second.data);
    assert_null(strstr(first.data, "a test"));
    strbuf_release(&first);
    strbuf_release(&second);
}

/* JSON, parsed again, holds the very doubles of the statistics. */
static void test_json_is_exact(void **state)
{
    struct report *report = build(*state);
    struct strbuf out = {0};
    assert_int_equal(report_render_json(report, &out, NULL), ERR_OK);
    json_t *root = json_loads(out.data, 0, NULL);
    json_t *comparisons = json_object_get(root, "comparisons");
    assert_int_equal(json_array_size(comparisons), report->stats->comparison_count);
    size_t undefined = 0;
    for (size_t i = 0; i < report->stats->comparison_count; i++) {
        const struct comparison *c = &report->stats->comparisons[i];
        json_t *p_adj = json_object_get(json_array_get(comparisons, i), "p_adj");
        if (isnan(c->p_adjusted)) {
            assert_true(json_is_null(p_adj));
            undefined++;
            continue;
        }
        double parsed = json_real_value(p_adj);
        assert_memory_equal(&parsed, &c->p_adjusted, sizeof parsed);
    }
    assert_int_equal(undefined, 2 * COMPARED); /* the missing cell's and the NaN cell's */
    json_decref(root);
    strbuf_release(&out);
}

static void test_json_refuses_broken_text(void **state)
{
    struct fixture *f = *state;
    f->info.title = "not UTF-8: \xff";
    struct strbuf out = {0};
    struct err err;
    assert_int_equal(report_render_json(build(f), &out, &err), ERR_INVALID);
    assert_int_equal(out.len, 0);
}

static void test_missing_is_said_not_averaged(void **state)
{
    struct strbuf out = {0};
    report_render_text(build(*state), 0, &out);
    assert_non_null(strstr(out.data, "ST is missing: job failed: out of memory on every worker"));
    assert_non_null(strstr(out.data, "1 of IT's losses are not finite numbers"));
    assert_non_null(strstr(out.data, "NaN ["));
    assert_non_null(strstr(out.data, "These families are toys"));
    assert_non_null(strstr(out.data, "One training seed per variant"));
    strbuf_release(&out);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_text),
        CASE(test_rules_of_one_pair_are_told_apart),
        CASE(test_markdown),
        CASE(test_latex),
        CASE(test_csv),
        CASE(test_json),
        CASE(test_text_keeps_to_its_width),
        CASE(test_csv_does_not_know_the_run),
        CASE(test_json_is_exact),
        CASE(test_json_refuses_broken_text),
        CASE(test_missing_is_said_not_averaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
