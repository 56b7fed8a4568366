/* Records as CSV and JSON lines: columns, digits, quoting, numbers that are none. */
#include "cmocka_all.h"

#include <math.h>

#include "record_export.h"

static const struct stat_record RECORDS[] = {
    {.sequence = 3,
     .position = 0,
     .content_nats = 0.1,
     .terminator_nats = 2.0,
     .greedy_nats = 0.5,
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

#define HEADER                                                                                     \
    "experiment,family,variant,seed,task,format,kind,sequence,position,content_nats,"              \
    "terminator_nats,greedy_nats,tokens,hit_tokens,first_hit,hit,js,kl,reverse_kl,cross_entropy,"  \
    "mode_match,coverage,component,temperature,top_p,top_k,sampled_tokens,nats,ended,valid,text,"  \
    "job,attempt\n"

static void test_csv(void **state)
{
    (void)state;
    const struct stat_cell cell = make_cell();
    struct strbuf out = {0};
    record_export_header(RECORD_CSV, &out);
    record_export_cell(RECORD_CSV, "quickstart", &cell, &out);
    assert_string_equal(
        out.data, HEADER
        "quickstart,toy,ST,42,\"say \"\"hi\"\", please\",spectrum,scores,3,0,"
        "0.10000000000000001,2,0.5,4,3,1,0,,,,,,,,,,,,,,,,ab12,7\n"
        "quickstart,toy,ST,42,\"say \"\"hi\"\", please\",spectrum,scores,3,1,nan,inf,0,2,2,1,"
        "1,,,,,,,,,,,,,,,,ab12,7\n");
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
        "\"task\":\"say \\\"hi\\\", "
        "please\",\"format\":\"spectrum\",\"kind\":\"scores\",\"sequence\":3,\"position\":0,"
        "\"content_nats\":0.10000000000000001,\"terminator_nats\":2,\"greedy_nats\":0.5,\"tokens\":"
        "4,\"hit_tokens\":3,"
        "\"first_hit\":true,\"hit\":false,\"job\":\"ab12\",\"attempt\":\"7\"}\n"
        "{\"experiment\":\"quick\\u000astart\",\"family\":\"toy\",\"variant\":\"ST\",\"seed\":42,"
        "\"task\":\"say \\\"hi\\\", "
        "please\",\"format\":\"spectrum\",\"kind\":\"scores\",\"sequence\":3,\"position\":1,"
        "\"content_nats\":\"nan\",\"terminator_nats\":\"inf\",\"greedy_nats\":0,\"tokens\":2,\"hit_"
        "tokens\":2,"
        "\"first_hit\":true,\"hit\":true,\"job\":\"ab12\",\"attempt\":\"7\"}\n");
    strbuf_release(&out);
}

static void test_the_other_kinds(void **state)
{
    (void)state;
    static const struct stat_setting setting = {"both", 0.5, 1.0, 0, 1};
    static const struct stat_record drawn = {
        .text = "a,\n\"b\"", .nats = 2.5, .sampled_tokens = 3, .valid = true};
    static const struct stat_record chosen = {.choice = {0.25, 0.5, 0.75, 1.0, 0.0, 0.125}};
    struct stat_cell cell = make_cell();
    struct strbuf out = {0};
    cell.kind = STAT_SAMPLES;
    cell.records = &drawn;
    cell.record_count = 1;
    cell.settings = &setting;
    cell.setting_count = 1;
    record_export_cell(RECORD_CSV, "x", &cell, &out);
    cell.kind = STAT_CHOICES;
    cell.records = &chosen;
    record_export_cell(RECORD_CSV, "x", &cell, &out);
    assert_string_equal(
        out.data, "x,toy,ST,42,\"say \"\"hi\"\", please\",spectrum,samples,0,0,,,,,,,,,,,,,,"
                  "both,0.5,1,0,3,2.5,0,1,\"a,\n\"\"b\"\"\",ab12,7\n"
                  "x,toy,ST,42,\"say \"\"hi\"\", please\",spectrum,choices,0,0,,,,,,,,0.25,0.5,"
                  "0.75,1,0,0.125,,,,,,,,,,ab12,7\n");
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
        cmocka_unit_test(test_the_other_kinds),
        cmocka_unit_test(test_missing_cell_has_no_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
