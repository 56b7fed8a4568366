/* Records as CSV and JSON lines: columns, digits, quoting, numbers that are none. */
#include "cmocka_all.h"

#include <math.h>

#include "record_export.h"

static const struct stat_record RECORDS[] = {
    {.sequence = 3,
     .position = 0,
     .content_nats = 0.1,
     .terminator_nats = 2.0,
     .token_count = 4,
     .hit_tokens = 3,
     .first_hit = true,
     .hit = false},
    {.sequence = 3,
     .position = 1,
     .content_nats = -(double)NAN,
     .terminator_nats = (double)INFINITY,
     .token_count = 2,
     .hit_tokens = 2,
     .first_hit = true,
     .hit = true},
};

static struct stat_cell make_cell(void)
{
    return (struct stat_cell){
        .family = "toy",
        .variant = "ST",
        .format = "spectrum",
        .suite = "main",
        .task = "say \"hi\", please",
        .seed = 42,
        .last_position = 1,
        .records = RECORDS,
        .record_count = 2,
        .records_expected = 2,
        .provenance = {.job = "ab12", .attempt = "7"},
    };
}

static void test_csv(void **state)
{
    (void)state;
    const struct stat_cell cell = make_cell();
    struct strbuf out = {0};
    record_export_header(RECORD_CSV, &out);
    record_export_cell(RECORD_CSV, "quickstart", &cell, &out);
    assert_string_equal(
        out.data,
        "experiment,family,variant,seed,task,format,sequence,position,content_nats,"
        "terminator_nats,tokens,hit_tokens,first_hit,hit,job,attempt\n"
        "quickstart,toy,ST,42,\"say \"\"hi\"\", please\",spectrum,3,0,0.10000000000000001,2,4,3,1,"
        "0,ab12,7\n"
        "quickstart,toy,ST,42,\"say \"\"hi\"\", please\",spectrum,3,1,nan,inf,2,2,1,1,ab12,7\n");
    strbuf_release(&out);
}

static void test_jsonl(void **state)
{
    (void)state;
    const struct stat_cell cell = make_cell();
    struct strbuf out = {0};
    record_export_header(RECORD_JSONL, &out);
    record_export_cell(RECORD_JSONL, "quick\nstart", &cell, &out);
    assert_string_equal(
        out.data,
        "{\"experiment\":\"quick\\u000astart\",\"family\":\"toy\",\"variant\":\"ST\",\"seed\":42,"
        "\"task\":\"say \\\"hi\\\", please\",\"format\":\"spectrum\",\"sequence\":3,\"position\":0,"
        "\"content_nats\":0.10000000000000001,\"terminator_nats\":2,\"tokens\":4,\"hit_tokens\":3,"
        "\"first_hit\":true,\"hit\":false,\"job\":\"ab12\",\"attempt\":\"7\"}\n"
        "{\"experiment\":\"quick\\u000astart\",\"family\":\"toy\",\"variant\":\"ST\",\"seed\":42,"
        "\"task\":\"say \\\"hi\\\", please\",\"format\":\"spectrum\",\"sequence\":3,\"position\":1,"
        "\"content_nats\":\"nan\",\"terminator_nats\":\"inf\",\"tokens\":2,\"hit_tokens\":2,"
        "\"first_hit\":true,\"hit\":true,\"job\":\"ab12\",\"attempt\":\"7\"}\n");
    strbuf_release(&out);
}

static void test_missing_cell_has_no_lines(void **state)
{
    (void)state;
    struct stat_cell cell = make_cell();
    cell.state = STAT_CELL_MISSING;
    struct strbuf out = {0};
    record_export_cell(RECORD_CSV, "quickstart", &cell, &out);
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_jsonl),
        cmocka_unit_test(test_missing_cell_has_no_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
