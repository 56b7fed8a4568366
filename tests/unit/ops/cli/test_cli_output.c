/* Rows in three formats, quantities for people, progress lines, and where the time went. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "golden.h"
#include "human.h"
#include "progress.h"
#include "rows.h"
#include "stages.h"
#include "stdout_capture.h"

static const struct rows_column columns[] = {
    {"name", "NAME", ROWS_TEXT}, {"count", "COUNT", ROWS_INTEGER}, {"loss", "LOSS", ROWS_REAL},
    {"seen", "SEEN", ROWS_TIME}, {"job", "JOB", ROWS_DIGEST},      {"hidden", NULL, ROWS_TEXT},
    {"last", "LAST", ROWS_TEXT},
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

static char *printed(enum cli_output output)
{
    static const struct rows_total totals[] = {
        {"total", 2.5, false}, {"broken", INFINITY, false}, {"rows_in_all", 2, true}};
    struct arena arena = {0};
    struct stdout_capture capture;
    struct rows rows;
    const struct cli cli = {.output = output};
    rows_init(&rows, &arena, "triad.test/1", columns, COLUMNS);
    const struct rows_cell first[COLUMNS] = {
        {.text = "plain"},
        {.integer = 7},
        {.real = 0.1},
        {.integer = 1800000000123},
        {.text = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
        {.text = "in JSON and CSV only"},
        {.text = "end"},
    };
    const struct rows_cell second[COLUMNS] = {
        {.text = "täschli, \"quoted\"\nline"},
        {.integer = -12345},
        {.real = (double)NAN},
        {.integer = 0},
        {.text = NULL},
        {.text = ""},
        {.text = "x"},
    };
    memcpy(rows_add(&rows), first, sizeof first);
    memcpy(rows_add(&rows), second, sizeof second);
    rows.totals = totals;
    rows.total_count = 3;
    stdout_capture_begin(&capture);
    rows_print(&rows, &cli);
    char *text = stdout_capture_end(&capture);
    arena_release(&arena);
    return text;
}

static void test_rows_in_three_formats(void **state)
{
    static const struct {
        enum cli_output output;
        const char *golden;
    } cases[] = {{OUTPUT_TABLE, "cli/rows.txt"},
                 {OUTPUT_JSON, "cli/rows.json"},
                 {OUTPUT_CSV, "cli/rows.csv"}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char *text = printed(cases[i].output);
        assert_true(golden_matches(cases[i].golden, text, strlen(text)));
        free(text);
    }
}

static const struct cli_verb *verb_called(const char *noun, const char *name)
{
    const struct cli_verb *v = cli_verbs;
    while (strcmp(v->name, name) != 0 || strcmp(v->noun ? v->noun : "", noun) != 0)
        v++;
    return v;
}

/* What a verb prints, having said one note, and having failed or not. */
static json_t *document_of(const struct cli_verb *verb, bool fails, size_t *bytes)
{
    struct cli_said said = {0};
    struct cli cli = {.verb = verb, .output = OUTPUT_JSON, .quiet = true, .said = &said};
    struct stdout_capture capture;
    struct err err;
    json_error_t why;
    (void)err_set(&err, ERR_NOT_FOUND, "no such thing");
    stdout_capture_begin(&capture);
    cli_note(&cli, "%d keys are \"new\"", 2);
    const enum cli_exit status = fails ? cli_fail(&cli, &err) : EXIT_OK;
    cli_end(&cli, status);
    char *text = stdout_capture_end(&capture);
    *bytes = strlen(text);
    json_t *root = json_loads(text, 0, &why); /* fails if there is more than one document */
    free(text);
    return root;
}

/* With --output json every command gives one document, whatever it has to say. */
static void test_a_verb_without_a_table_gives_its_notes_as_a_document(void **state)
{
    size_t bytes = 0;
    const char *schema = NULL, *command = NULL, *note = NULL;
    int status = -1;
    (void)state;
    json_t *root = document_of(verb_called("keys", "rotate"), false, &bytes);
    assert_int_equal(json_unpack(root, "{s:s, s:s, s:i, s:[s]}", "schema", &schema, "command",
                                 &command, "exit", &status, "notes", &note),
                     0);
    assert_string_equal(schema, "triad.notes/1");
    assert_string_equal(command, "keys rotate");
    assert_string_equal(note, "2 keys are \"new\"");
    assert_int_equal(status, 0);
    json_decref(root);
    root = document_of(verb_called("keys", "rotate"), true, &bytes);
    assert_int_equal(json_unpack(root, "{s:s, s:{s:s}}", "schema", &schema, "error", "text", &note),
                     0);
    assert_string_equal(schema, "triad.error/1");
    assert_string_equal(note, "no such thing");
    json_decref(root);
    root = document_of(verb_called("", "status"), false, &bytes); /* has printed its rows */
    assert_int_equal(bytes, 0);
    json_decref(root);
}

/* For a terminal of 60 columns: columns of zeros and blanks go, texts are cut, figures stay. */
static void test_a_table_fits_a_narrow_terminal(void **state)
{
    static const struct rows_column wide[] = {
        {"experiment", "EXPERIMENT", ROWS_TEXT}, {"jobs", "JOBS", ROWS_INTEGER},
        {"failed", "FAILED", ROWS_INTEGER},      {"cancelled", "CANCELLED", ROWS_INTEGER},
        {"share", "SHARE", ROWS_REAL},           {"left", "LEFT", ROWS_TEXT},
        {"reason", "REASON", ROWS_TEXT},
    };
    enum { WIDE = sizeof wide / sizeof wide[0] };
    struct arena arena = {0};
    struct rows rows;
    struct stdout_capture capture;
    (void)state;
    rows_init(&rows, &arena, "triad.test/1", wide, WIDE);
    const struct rows_cell values[WIDE] = {
        {.text = "quickstart"},
        {.integer = 15},
        {.integer = 2},
        {.integer = 0},
        {.real = 0.5},
        {.text = "-"},
        {.text = "worker says: äöüäöüäöüäöü and so on, for a long time"}};
    memcpy(rows_add(&rows), values, sizeof values);
    stdout_capture_begin(&capture);
    rows_print_table(&rows, 60);
    char *text = stdout_capture_end(&capture);
    assert_string_equal(text, "EXPERIMENT  JOBS  FAILED  SHARE  REASON\n"
                              "quickstart    15       2    0.5  worker says: äöüäöüäöüäöü …\n");
    free(text);
    stdout_capture_begin(&capture);
    rows_print_table(&rows, 0); /* a file has all */
    text = stdout_capture_end(&capture);
    assert_non_null(strstr(text, "CANCELLED  SHARE  LEFT  REASON"));
    assert_non_null(strstr(text, "for a long time"));
    free(text);
    arena_release(&arena);
}

/* More rows than the first allocation holds. */
static void test_rows_grow(void **state)
{
    struct arena arena = {0};
    struct rows rows;
    (void)state;
    rows_init(&rows, &arena, "triad.test/1", columns, COLUMNS);
    for (int i = 0; i < 100; i++)
        rows_add(&rows)[1].integer = i;
    assert_int_equal(rows.row_count, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(rows.cells[i * COLUMNS + 1].integer, i);
    arena_release(&arena);
}

/* A cell that is not UTF-8 is still there, and the document is JSON. */
static void test_rows_that_are_not_text(void **state)
{
    struct arena arena = {0};
    struct rows rows;
    (void)state;
    rows_init(&rows, &arena, "triad.test/1", columns, COLUMNS);
    rows_add(&rows)[0].text = "a\xff"
                              "b";
    json_t *row = rows_json_row(&rows, 0);
    assert_string_equal(json_string_value(json_object_get(row, "name")), "a?b");
    json_decref(row);
    arena_release(&arena);
}

static void test_quantities(void **state)
{
    char text[HUMAN_SIZE];
    (void)state;
    assert_string_equal(human_duration(340, text), "340 ms");
    assert_string_equal(human_duration(12400, text), "12.4 s");
    assert_string_equal(human_duration(185000, text), "3m05s");
    assert_string_equal(human_duration(7800000, text), "2h10m");
    assert_string_equal(human_duration(3 * 86400000LL + 4 * 3600000LL, text), "3d04h");
    assert_string_equal(human_bytes(512, text), "512 B");
    assert_string_equal(human_bytes(1536 * 1024, text), "1.5 MiB");
    assert_string_equal(human_bytes(UINT64_MAX, text), "16.0 EiB");
    assert_string_equal(human_count(950, text), "950");
    assert_string_equal(human_count(12345, text), "12.3k");
    assert_string_equal(human_count(4.56e6, text), "4.56M");
    assert_string_equal(human_count(999.9e6, text), "1G");
}

static void test_progress_lines(void **state)
{
    struct strbuf text = {0};
    const struct experiment_row row = {
        .name = "quickstart",
        .counts = {[JOB_WAITING] = 5,
                   [JOB_LEASED] = 1,
                   [JOB_RUNNING] = 1,
                   [JOB_DONE] = 7,
                   [JOB_FAILED] = 1},
        .eta_ms = 120000,
    };
    const struct running_row running = {.label = "a/ST/42",
                                        .worker = "local-1",
                                        .done = 33,
                                        .total = 60,
                                        .loss_nats = 2.314,
                                        .tokens_per_s = 5123};
    const struct running_row fresh = {
        .label = "a/PT/42", .worker = "local-2", .loss_nats = (double)NAN};
    (void)state;
    progress_summary(&row, 190000, &text);
    assert_string_equal(strbuf_text(&text), "quickstart: 7 of 15 jobs done, 2 running, 5 waiting, "
                                            "1 failed, 3m10s, about 2m00s left");
    strbuf_clear(&text);
    progress_running(&running, 8, &text);
    assert_string_equal(strbuf_text(&text),
                        "  a/ST/42         33/60  loss 2.314   5.12k tokens/s  (local-1)");
    strbuf_clear(&text);
    progress_running(&fresh, 8, &text); /* nothing is known yet: nothing is claimed */
    assert_string_equal(strbuf_text(&text), "  a/PT/42                (local-2)");
    strbuf_release(&text);
}

/* Names and reasons come from whoever has a key: none of them steers the reader's terminal. */
static void test_progress_shows_no_control_bytes(void **state)
{
    const struct experiment_row experiment = {.name = "e\033[2J"};
    const struct running_row running = {.label = "a\033]0;x\a", .worker = "w\r\033[31m"};
    const struct job_row ended = {
        .label = "b\033c", .state = JOB_FAILED, .reason = "worker says\033[1A\n\x9b\xc2\x9b"};
    struct strbuf text = {0};
    char *said = NULL;
    size_t said_len = 0;
    (void)state;
    progress_summary(&experiment, 0, &text);
    progress_running(&running, 8, &text);
    struct progress p = {.out = open_memstream(&said, &said_len)};
    progress_job_ended(&p, &ended);
    assert_int_equal(fclose(p.out), 0);
    strbuf_append(&text, said, said_len - 1); /* without the line's end */
    free(said);
    for (const char *c = strbuf_text(&text); *c; c++)
        assert_in_range((unsigned char)*c, 0x20, 0x7e);
    assert_non_null(strstr(strbuf_text(&text), "worker says?[1A???"));
    strbuf_release(&text);
}

/* Hundreds of experiments, most of them over: the block stays within a screen of 24 lines of 80
 * columns, and lines are cut between characters. */
static void test_the_block_fits_the_terminal(void **state)
{
    (void)state;
    enum { EXPERIMENTS = 200, RUNNING = 30 };
    static struct experiment_row experiments[EXPERIMENTS];
    static struct running_row running[RUNNING];
    char names[EXPERIMENTS][16];
    struct progress p = {.is_terminal = true};
    char *drawn = NULL;
    size_t drawn_len = 0;
    for (int i = 0; i < EXPERIMENTS; i++) {
        snprintf(names[i], sizeof names[i], "e%d", i);
        experiments[i] = (struct experiment_row){.name = names[i]};
        experiments[i].counts[i % 2 ? JOB_DONE : JOB_WAITING] = 1;
    }
    for (int i = 0; i < RUNNING; i++)
        running[i] = (struct running_row){
            .label = "äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöü",
            .worker = "w",
            .loss_nats = NAN};
    const struct msg_status status = {.experiments = experiments,
                                      .experiment_count = EXPERIMENTS,
                                      .running = running,
                                      .running_count = RUNNING};
    p.out = open_memstream(&drawn, &drawn_len);
    progress_show(&p, &status, 0);
    assert_int_equal(fclose(p.out), 0);
    assert_in_range(p.drawn_lines, 20, 23);
    assert_true(str_is_utf8(drawn, drawn_len));
    assert_non_null(strstr(drawn, "e0: 0 of 1"));
    assert_null(strstr(drawn, "e1: 1 of 1")); /* it is over */
    assert_non_null(strstr(drawn, "and 90 more experiments"));
    free(drawn);
}

/* Two overlapping jobs, one apart, one from before the run, one of another kind. */
static void test_time_by_stage_counts_overlaps_once(void **state)
{
    const struct job_row rows[] = {
        {.kind = JOB_EVALUATE, .started_ms = 1000, .ended_ms = 3000},
        {.kind = JOB_EVALUATE, .started_ms = 2000, .ended_ms = 4000},
        {.kind = JOB_EVALUATE, .started_ms = 7000, .ended_ms = 8000},
        {.kind = JOB_EVALUATE, .started_ms = 100, .ended_ms = 200},
        {.kind = JOB_PRETRAIN, .started_ms = 500, .ended_ms = 9000},
    };
    const struct job_row *pointers[] = {&rows[0], &rows[1], &rows[2], &rows[3], &rows[4]};
    const struct job_table table = {.rows = pointers, .count = 5};
    size_t count = 0;
    (void)state;
    assert_int_equal(stages_busy_ms(&table, JOB_EVALUATE, 900, &count), 4000);
    assert_int_equal(count, 3);
    assert_int_equal(stages_busy_ms(&table, JOB_EVALUATE, 0, &count), 4100);
    assert_int_equal(stages_busy_ms(&table, JOB_PRETRAIN, 900, &count), 8100);
    assert_int_equal(stages_busy_ms(&table, JOB_IMPORT, 0, &count), 0);
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_in_three_formats),
        cmocka_unit_test(test_a_verb_without_a_table_gives_its_notes_as_a_document),
        cmocka_unit_test(test_a_table_fits_a_narrow_terminal),
        cmocka_unit_test(test_rows_grow),
        cmocka_unit_test(test_rows_that_are_not_text),
        cmocka_unit_test(test_quantities),
        cmocka_unit_test(test_progress_lines),
        cmocka_unit_test(test_progress_shows_no_control_bytes),
        cmocka_unit_test(test_the_block_fits_the_terminal),
        cmocka_unit_test(test_time_by_stage_counts_overlaps_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
