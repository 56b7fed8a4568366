/* The sections of alignment and coverage: laid out against goldens, and every figure of the CSV and
 * the JSON against numpy, from small stored records (tests/oracle/report_kinds.py made both).
 * UPDATE_GOLDEN=1 rewrites the goldens; review the diff. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "check.h"
#include "file.h"
#include "record_reader.h"
#include "report.h"

#define FOLDER         TRIAD_SOURCE_DIR "/tests/golden/report/kinds"
#define TOLERANCE      1e-9
#define CANDIDATES_MAX 16

static const char *const against[] = {"IT", "ST"};
static const struct stat_rule rule = {"PT", against, 2, STAT_TEST_PAIRED, 0.05, ADJUST_HOLM};

struct fixture {
    struct arena arena;
    json_t *stored; /* owns the texts */
    struct report *report;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static size_t doubles(const json_t *list, double out[CANDIDATES_MAX])
{
    const size_t count = json_array_size(list);
    assert_in_range(count, 1, CANDIDATES_MAX);
    for (size_t i = 0; i < count; i++)
        out[i] = json_number_value(json_array_get(list, i));
    return count;
}

static void fill_choices(struct arena *arena, const json_t *stored, struct stat_cell *cell)
{
    const json_t *items = json_object_get(stored, "items");
    const size_t count = json_array_size(items);
    struct stat_record *records = arena_array(arena, count, sizeof *records);
    for (size_t i = 0; i < count; i++) {
        double target[CANDIDATES_MAX], log_p[CANDIDATES_MAX];
        const json_t *item = json_array_get(items, i);
        const size_t candidates = doubles(json_object_get(item, "target"), target);
        assert_int_equal(doubles(json_object_get(item, "log_p"), log_p), candidates);
        records[i] = (struct stat_record){
            .sequence = (uint32_t)i,
            .choice = divergence_measure(target, log_p, candidates, DIVERGENCE_EPSILON)};
    }
    cell->kind = STAT_CHOICES;
    cell->suite = "alignment";
    cell->records = records;
    cell->record_count = (uint32_t)count;
}

static void fill_samples(struct arena *arena, const json_t *stored, const json_t *components,
                         struct stat_cell *cell)
{
    const json_t *draws = json_object_get(stored, "draws");
    const size_t count = json_array_size(draws), sequences = json_array_size(components);
    struct stat_record *records = arena_array(arena, count, sizeof *records);
    struct stat_setting *settings = arena_array(arena, sequences, sizeof *settings);
    for (size_t i = 0; i < count; i++) {
        const json_t *draw = json_array_get(draws, i);
        records[i] = (struct stat_record){
            .sequence = (uint32_t)number_of(draw, "sequence"),
            .position = (uint32_t)number_of(draw, "position"),
            .text = text_of(draw, "text"),
            .nats = number_of(draw, "nats"),
            .sampled_tokens = (uint16_t)number_of(draw, "tokens"),
            .valid = json_is_true(json_object_get(draw, "valid")),
            .ended = json_is_true(json_object_get(draw, "ended")),
        };
    }
    for (size_t i = 0; i < sequences; i++)
        settings[i] =
            (struct stat_setting){.component = json_string_value(json_array_get(components, i)),
                                  .temperature = 1,
                                  .top_p = 1,
                                  .draws = (uint32_t)(count / sequences)};
    cell->kind = STAT_SAMPLES;
    cell->suite = "coverage";
    cell->records = records;
    cell->record_count = (uint32_t)count;
    cell->settings = settings;
    cell->setting_count = (uint32_t)sequences;
    cell->allowed = (uint64_t)number_of(stored, "allowed");
    cell->last_position = settings[0].draws - 1;
}

static void fill_cell(struct fixture *f, const json_t *stored, struct stat_cell *cell)
{
    *cell = (struct stat_cell){.family = "llama-tiny",
                               .variant = text_of(stored, "variant"),
                               .format = "spectrum",
                               .task = text_of(stored, "task"),
                               .seed = 42,
                               .pairing = text_of(stored, "task"),
                               .provenance = {"job", "model", "1", "digest"}};
    if (json_object_get(stored, "items"))
        fill_choices(&f->arena, stored, cell);
    else
        fill_samples(&f->arena, stored, json_object_get(f->stored, "components"), cell);
    cell->records_expected = cell->record_count;
}

static int setup(void **state)
{
    static const char *const kinds[] = {"alignment", "coverage"};
    struct fixture *f = test_calloc(1, sizeof *f);
    json_error_t error;
    f->stored = json_load_file(FOLDER "/records.json", 0, &error);
    if (!f->stored)
        fail_msg("%s:%d: %s", error.source, error.line, error.text);
    struct stat_cell *cells = arena_array(&f->arena, 256, sizeof *cells);
    size_t count = 0;
    for (size_t k = 0; k < ARRAY_COUNT(kinds); k++) {
        const json_t *list = json_object_get(f->stored, kinds[k]);
        assert_in_range(json_array_size(list), 1, 256 - count);
        for (size_t i = 0; i < json_array_size(list); i++)
            fill_cell(f, json_array_get(list, i), &cells[count++]);
    }
    struct stats *stats;
    struct err err;
    const struct stat_options options = {.seed = 7, .bootstrap_resamples = 200};
    if (stats_analyse(cells, count, &rule, 1, &options, &f->arena, &stats, &err))
        fail_msg("%s", err.text);
    const struct report_info info = {.title = "Kinds", .experiment = "kinds"};
    f->report = report_build(&info, stats, &f->arena);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_release(&f->arena);
    json_decref(f->stored);
    test_free(f);
    return 0;
}

/* ---- laid out ---- */

static void check_golden(const char *path, struct strbuf *actual)
{
    char *wanted = NULL;
    size_t len = 0;
    struct err err;
    if (getenv("UPDATE_GOLDEN")) {
        assert_int_equal(file_write_atomic(path, actual->data, actual->len, 0644, &err), ERR_OK);
    } else {
        if (file_read(path, 0, &wanted, &len, &err) != ERR_OK)
            fail_msg("%s", err.text);
        assert_string_equal(strbuf_text(actual), wanted);
        free(wanted);
    }
    strbuf_release(actual);
}

static void test_layouts(void **state)
{
    const struct fixture *f = *state;
    struct strbuf text = {0}, markdown = {0}, latex = {0};
    report_render_text(f->report, 100, &text);
    report_render_markdown(f->report, &markdown);
    report_render_latex(f->report, &latex);
    check_golden(FOLDER "/report.txt", &text);
    check_golden(FOLDER "/report.md", &markdown);
    check_golden(FOLDER "/report.tex", &latex);
}

/* ---- CSV ---- */

struct csv {
    struct strbuf text;
    struct record_reader reader;
};

static void csv_open(struct csv *csv)
{
    const struct record_options options = {.format = RECORD_CSV, .separator = ',', .quote = '"'};
    struct err err;
    if (record_reader_open(&options, byte_stream_memory(csv->text.data, csv->text.len),
                           "report.csv", &csv->reader, &err))
        fail_msg("%s", err.text);
}

static const char *value_of(const struct csv *csv, const char *column)
{
    for (size_t i = 0; i < csv->reader.column_count; i++)
        if (strcmp(csv->reader.columns[i], column) == 0)
            return record_reader_value(&csv->reader, i).data;
    fail_msg("the CSV has no column '%s'", column);
    return NULL;
}

static bool is_wanted(const struct csv *csv, json_t *find)
{
    const char *key;
    json_t *text;
    json_object_foreach(find, key, text)
    {
        if (strcmp(value_of(csv, key), json_string_value(text)) != 0)
            return false;
    }
    return true;
}

static void check_number(double actual, double wanted, const char *name, json_t *find)
{
    if (fabs(actual - wanted) <= TOLERANCE * fmax(1.0, fabs(wanted)))
        return;
    char *what = json_dumps(find, JSON_COMPACT);
    fail_msg("%s of %s is %.17g, by numpy %.17g", name, what, actual, wanted);
}

/* The figures of one line, which must be there exactly once. */
static void check_line(struct csv *csv, json_t *find, json_t *figures)
{
    size_t found = 0;
    bool got = true;
    struct err err;
    csv_open(csv);
    while (got) {
        const char *name;
        json_t *figure;
        assert_int_equal(record_reader_next(&csv->reader, &got, &err), ERR_OK);
        if (!got || !is_wanted(csv, find))
            continue;
        found++;
        json_object_foreach(figures, name, figure)
        {
            check_number(strtod(value_of(csv, name), NULL), json_number_value(figure), name, find);
        }
    }
    record_reader_close(&csv->reader);
    if (found != 1)
        fail_msg("%zu lines of %s", found, json_dumps(find, JSON_COMPACT));
}

static void test_csv_has_numpys_figures(void **state)
{
    const struct fixture *f = *state;
    const json_t *expected = json_object_get(f->stored, "expected");
    struct csv csv = {0};
    report_render_csv(f->report, &csv.text);
    assert_true(json_array_size(expected) > 600);
    for (size_t i = 0; i < json_array_size(expected); i++) {
        const json_t *one = json_array_get(expected, i);
        check_line(&csv, json_object_get(one, "find"), json_object_get(one, "figures"));
    }
    strbuf_release(&csv.text);
}

/* ---- JSON ---- */

/* Where the JSON has what the CSV's lines of a kind have, and what it calls their variant. */
static const struct {
    const char *kind, *list, *variant;
    bool is_difference;
} places[] = {
    {"difference", "comparisons", "against", true},
    {"generation", "generations", "variant", false},
    {"generation_mean", "generation_means", "variant", false},
    {"generation_difference", "generation_pairs", "against", true},
};

static bool agrees(const json_t *object, const char *key, const json_t *find, const char *as)
{
    const json_t *wanted = json_object_get(find, as);
    const json_t *actual = json_object_get(object, key);
    return !wanted || (actual && json_equal(actual, wanted));
}

static json_t *find_object(json_t *list, const json_t *find, size_t place)
{
    json_t *object, *found = NULL;
    size_t i;
    json_array_foreach(list, i, object)
    {
        if (agrees(object, places[place].variant, find, "variant") &&
            agrees(object, "task", find, "task") && agrees(object, "suite", find, "suite") &&
            agrees(object, "component", find, "component") &&
            (!places[place].is_difference || agrees(object, "metric", find, "metric"))) {
            assert_null(found);
            found = object;
        }
    }
    return found;
}

/* A figure of an object: of a difference, of one metric of many, or that metric itself. */
static double figure_of(const json_t *object, size_t place, const char *metric, const char *name)
{
    if (places[place].is_difference) {
        const json_t *own = json_object_get(object, name);
        const json_t *difference = json_object_get(object, "difference");
        return json_number_value(own ? own : json_object_get(difference, name));
    }
    const json_t *value = json_object_get(object, metric);
    if (!json_is_object(value))
        return json_number_value(value);
    return json_number_value(json_object_get(value, strcmp(name, "se") == 0 ? "sem" : name));
}

static void check_object(json_t *root, size_t place, json_t *find, json_t *figures)
{
    const char *name;
    json_t *figure;
    json_t *object = find_object(json_object_get(root, places[place].list), find, place);
    if (!object)
        fail_msg("%s has no %s", places[place].list, json_dumps(find, JSON_COMPACT));
    json_object_foreach(figures, name, figure)
    {
        check_number(figure_of(object, place, text_of(find, "metric"), name),
                     json_number_value(figure), name, find);
    }
}

static void test_json_has_numpys_figures(void **state)
{
    const struct fixture *f = *state;
    const json_t *expected = json_object_get(f->stored, "expected");
    struct strbuf out = {0};
    size_t checked = 0;
    assert_int_equal(report_render_json(f->report, &out, NULL), ERR_OK);
    json_t *root = json_loads(strbuf_text(&out), 0, NULL);
    assert_non_null(root);
    for (size_t i = 0; i < json_array_size(expected); i++) {
        json_t *find = json_object_get(json_array_get(expected, i), "find");
        for (size_t p = 0; p < ARRAY_COUNT(places); p++) {
            if (strcmp(places[p].kind, text_of(find, "kind")) != 0)
                continue;
            check_object(root, p, find, json_object_get(json_array_get(expected, i), "figures"));
            checked++;
        }
    }
    assert_true(checked > 600);
    json_decref(root);
    strbuf_release(&out);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_layouts),
        CASE(test_csv_has_numpys_figures),
        CASE(test_json_has_numpys_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
