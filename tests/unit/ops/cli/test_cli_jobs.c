/* Which job a person means, and how a plan is cut into frames. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "cmocka_all.h"
#include "codec.h"
#include "job_table.h"
#include "submit.h"

static struct job_row row(const char *hex_prefix, const char *label)
{
    struct job_row r = {.label = label};
    char hex[DIGEST_HEX_SIZE];
    memset(hex, '0', sizeof hex - 1);
    hex[sizeof hex - 1] = '\0';
    memcpy(hex, hex_prefix, strlen(hex_prefix));
    assert_true(digest_from_hex(hex, &r.job));
    return r;
}

static void test_jobs_by_identity_prefix_and_label(void **state)
{
    const struct job_row rows[] = {
        row("abcd1", "tiny/PT/42"), row("abcd2", "tiny/ST/42"), row("face", "tiny/PT/flight/42"),
        row("beef7", "tiny/ST/7"),  row("1234", "decade"),
    };
    const struct job_row *pointers[] = {&rows[0], &rows[1], &rows[2], &rows[3], &rows[4]};
    const struct job_table table = {.rows = pointers, .count = 5};
    static const struct {
        const char *text;
        int index;              /* -1: an error */
        enum err_code code;     /* of the error */
        const char *error_part; /* of its text */
    } cases[] = {
        {"tiny/PT/42", 0, ERR_OK, ""},
        {"tiny/PT", 0, ERR_OK, ""}, /* the seed may be left out; flight is another job */
        {"face", 2, ERR_OK, ""},
        {"abcd2", 1, ERR_OK, ""},
        {"decade", 4, ERR_OK, ""}, /* also hexadecimal digits, but a label */
        {"abcd", -1, ERR_INVALID, "means 2 jobs: abcd10000000 (tiny/PT/42), abcd20000000"},
        {"tiny/ST", -1, ERR_INVALID, "means 2 jobs"},
        {"abc", -1, ERR_NOT_FOUND, "its first 4 digits"}, /* too short for a prefix */
        {"tiny", -1, ERR_NOT_FOUND, "no job 'tiny'"},
        {"tiny/PT/4", -1, ERR_NOT_FOUND, "no job 'tiny/PT/4'; did you mean 'tiny/PT/42'?"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct job_row *found = NULL;
        struct err err = {0};
        const enum err_code rc = job_table_find(&table, cases[i].text, &found, &err);
        assert_int_equal(rc, cases[i].code);
        if (cases[i].index >= 0)
            assert_ptr_equal(found, pointers[cases[i].index]);
        else if (!strstr(err.text, cases[i].error_part))
            fail_msg("'%s' gave \"%s\"", cases[i].text, err.text);
    }
}

static void test_state_names(void **state)
{
    uint32_t mask = 99;
    struct err err;
    (void)state;
    assert_int_equal(job_table_state_mask("", &mask, &err), ERR_OK);
    assert_int_equal(mask, 0);
    assert_int_equal(job_table_state_mask("failed", &mask, &err), ERR_OK);
    assert_int_equal(mask, 1u << JOB_FAILED);
    assert_int_equal(job_table_state_mask("faild", &mask, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "did you mean 'failed'?"));
}

/* Every part encodes into one frame; together they carry each job once, in order, and the whole
 * document. */
static void check_parts(size_t job_count, size_t spec_bytes, size_t plan_bytes,
                        size_t manifest_bytes)
{
    uint8_t *bytes = calloc(1, plan_bytes + spec_bytes + manifest_bytes + 1);
    struct submit_job *jobs = calloc(job_count + 1, sizeof *jobs);
    struct strbuf document = {0};
    assert_non_null(bytes);
    assert_non_null(jobs);
    for (size_t i = 0; i < plan_bytes; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    for (size_t i = 0; i < job_count; i++)
        jobs[i] = (struct submit_job){.label = "tiny/PT/42",
                                      .family = "tiny",
                                      .variant = "PT",
                                      .task = "flight",
                                      .seed = i,
                                      .spec = {bytes, spec_bytes}};
    struct submit_parts parts = {.experiment = "test",
                                 .manifest = {bytes, manifest_bytes},
                                 .plan_json = {bytes, plan_bytes},
                                 .jobs = jobs,
                                 .job_count = job_count};
    struct msg request;
    size_t next_job = 0;
    uint32_t part = 0;
    submit_begin(&parts);
    while (submit_next(&parts, &request)) {
        struct strbuf frame = {0};
        assert_int_equal(request.submit.part_index, part++);
        assert_int_equal(request.submit.part_count, parts.part_count);
        assert_int_equal(request.submit.manifest.len, part == 1 ? manifest_bytes : 0);
        for (size_t i = 0; i < request.submit.job_count; i++)
            assert_int_equal(request.submit.jobs[i].seed, next_job++);
        strbuf_append(&document, request.submit.plan_json.data, request.submit.plan_json.len);
        struct err err;
        if (codec_encode(&request, FRAME_BYTES_MAX, &frame, &err) != ERR_OK)
            fail_msg("part %u: %s", part, err.text);
        strbuf_release(&frame);
    }
    assert_int_equal(part, parts.part_count);
    assert_int_equal(next_job, job_count);
    assert_int_equal(document.len, plan_bytes);
    assert_memory_equal(strbuf_text(&document), bytes, plan_bytes);
    strbuf_release(&document);
    free(jobs);
    free(bytes);
}

static void test_plans_are_cut_into_frames(void **state)
{
    (void)state;
    check_parts(0, 0, 0, 0);
    check_parts(1, 1000, 10, 10);
    check_parts(15, 1200, 30000, 2000);
    check_parts(1000, 1200, 900000, 2000);
    check_parts(200, 1, 100, 10);                                    /* many small jobs */
    check_parts(3, SPEC_BYTES_MAX, 5000000, MANIFEST_BYTES_MAX);     /* everything at its limit */
    check_parts(2, 10, (size_t)3 * 1024 * 1024, MANIFEST_BYTES_MAX); /* more document than jobs */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_by_identity_prefix_and_label),
        cmocka_unit_test(test_state_names),
        cmocka_unit_test(test_plans_are_cut_into_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
