/* The spool: what was finished survives anything, what was torn is cut, what cannot be complete is
 * not offered, and a full disk costs nothing that was there before. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bounds.h"
#include "file.h"
#include "log.h"
#include "records.h"
#include "spool.h"

#define MIB ((uint64_t)1024 * 1024)

struct place {
    char folder[64];
    struct spool *spool;
    struct lease_key lease;
    struct err err;
};

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    strcpy(p->folder, "/tmp/triad-spool-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    assert_int_equal(spool_open(p->folder, 64 * MIB, &p->spool, &p->err), ERR_OK);
    p->lease = (struct lease_key){.job = hash_bytes("job", 3), .epoch = 3};
    assert_int_equal(spool_begin(p->spool, &p->lease, &p->err), ERR_OK);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    spool_free(p->spool);
    assert_int_equal(file_remove_tree(p->folder, NULL), ERR_OK);
    free(p);
    return 0;
}

/* As a process that was killed and started again would. */
static void reopen(struct place *p)
{
    spool_free(p->spool);
    p->spool = NULL;
    assert_int_equal(spool_open(p->folder, 64 * MIB, &p->spool, &p->err), ERR_OK);
}

static enum err_code append_text(struct place *p, enum stream_kind stream, const char *text)
{
    return spool_append(p->spool, &p->lease, stream,
                        (struct bytes){(const uint8_t *)text, strlen(text)}, &p->err);
}

static void append_numbered(struct place *p, int number)
{
    char text[32];
    snprintf(text, sizeof text, "line %d", number);
    assert_int_equal(append_text(p, STREAM_LOG, text), ERR_OK);
}

static void expect_batch(struct place *p, uint32_t index, const char *text)
{
    struct strbuf out = {0};
    assert_int_equal(spool_read(p->spool, &p->lease, STREAM_LOG, index, &out, &p->err), ERR_OK);
    assert_int_equal(out.len, strlen(text));
    assert_memory_equal(out.data, text, out.len);
    strbuf_release(&out);
}

static void finish_as(struct place *p, const struct msg_result *result)
{
    struct spool_end *end;
    assert_int_equal(spool_end_new(p->spool, &p->lease, result, &end, &p->err), ERR_OK);
    assert_int_equal(spool_end_write(end, &p->err), ERR_OK);
    assert_true(spool_end_free(p->spool, end));
}

static void finish(struct place *p, uint32_t log_batches)
{
    struct msg_result result = {.lease = p->lease,
                                .outcome = OUTCOME_FAILED,
                                .reason = "bad input",
                                .batches = {0, 0, log_batches},
                                .numeric_class = "c"};
    finish_as(p, &result);
}

static char *stream_file(struct place *p, const char *name)
{
    static char path[512];
    char hex[DIGEST_HEX_SIZE];
    snprintf(path, sizeof path, "%s/%s-%u/%s", p->folder, digest_hex(&p->lease.job, hex),
             p->lease.epoch, name);
    return path;
}

static void test_a_finished_attempt_survives_a_restart(void **state)
{
    struct place *p = *state;
    append_numbered(p, 0);
    append_numbered(p, 1);
    finish(p, 2);
    reopen(p);
    assert_int_equal(spool_finished_count(p->spool), 1);
    const struct msg_result *result = spool_finished_at(p->spool, 0);
    assert_string_equal(result->reason, "bad input");
    assert_int_equal(result->outcome, OUTCOME_FAILED);
    assert_int_equal(result->lease.epoch, 3);
    expect_batch(p, 0, "line 0");
    expect_batch(p, 1, "line 1");
    spool_forget(p->spool, &p->lease);
    reopen(p);
    assert_int_equal(spool_finished_count(p->spool), 0);
}

static void test_a_running_attempt_does_not(void **state)
{
    struct place *p = *state;
    append_numbered(p, 0);
    reopen(p);
    assert_int_equal(spool_finished_count(p->spool), 0);
    assert_false(file_exists(stream_file(p, "")));
}

static void test_a_torn_tail_is_cut_and_the_whole_part_stays(void **state)
{
    struct place *p = *state;
    append_numbered(p, 0);
    append_numbered(p, 1);
    finish(p, 1); /* the second batch came too late to be part of the result */
    struct stat st;
    char *path = stream_file(p, "log.0000000000");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - 2), 0);
    reopen(p);
    assert_int_equal(spool_finished_count(p->spool), 1);
    expect_batch(p, 0, "line 0");
    assert_int_equal(spool_totals(p->spool, &p->lease).batches[STREAM_LOG], 1);
    append_numbered(p, 7); /* goes where the torn one was */
    expect_batch(p, 1, "line 7");
}

static void test_a_result_without_all_its_batches_is_not_offered(void **state)
{
    struct place *p = *state;
    append_numbered(p, 0);
    finish(p, 1);
    int fd = open(stream_file(p, "log.0000000000"), O_WRONLY);
    assert_int_equal(pwrite(fd, "X", 1, 14), 1); /* one byte of the payload */
    close(fd);
    reopen(p);
    assert_int_equal(spool_finished_count(p->spool), 0);
}

static void test_damage_is_noticed_when_reading(void **state)
{
    struct place *p = *state;
    append_numbered(p, 0);
    int fd = open(stream_file(p, "log.0000000000"), O_WRONLY);
    assert_int_equal(pwrite(fd, "X", 1, 14), 1);
    close(fd);
    struct strbuf out = {0};
    assert_int_equal(spool_read(p->spool, &p->lease, STREAM_LOG, 0, &out, &p->err), ERR_CORRUPT);
    strbuf_release(&out);
}

/* A slow disk: the result was delivered while it was being written. */
static void test_a_lease_that_was_forgotten_meanwhile_leaves_nothing(void **state)
{
    struct place *p = *state;
    struct msg_result result = {
        .lease = p->lease, .batches = {0, 0, 1}, .reason = "", .numeric_class = "c"};
    struct spool_end *end;
    append_numbered(p, 0);
    assert_int_equal(spool_end_new(p->spool, &p->lease, &result, &end, &p->err), ERR_OK);
    spool_forget(p->spool, &p->lease);
    assert_int_equal(file_mkdirs(stream_file(p, ""), 0700, &p->err), ERR_OK); /* as it just was */
    assert_int_equal(spool_end_write(end, &p->err), ERR_OK);
    assert_true(file_exists(stream_file(p, "result")));
    assert_false(spool_end_free(p->spool, end));
    assert_false(file_exists(stream_file(p, "")));
}

/* Segments close at 4 MiB: acknowledged ones disappear, and numbering goes on after a restart. */
static void test_acknowledged_segments_are_removed(void **state)
{
    struct place *p = *state;
    char *big = malloc(STREAM_PAYLOAD_BYTES_MAX);
    memset(big, 'x', STREAM_PAYLOAD_BYTES_MAX);
    struct bytes payload = {(const uint8_t *)big, STREAM_PAYLOAD_BYTES_MAX};
    for (int i = 0; i < 200; i++)
        assert_int_equal(spool_append(p->spool, &p->lease, STREAM_METRICS, payload, &p->err),
                         ERR_OK);
    assert_true(file_exists(stream_file(p, "metrics.0000000000")));
    uint64_t before = spool_totals(p->spool, &p->lease).pending_bytes;
    spool_drop(p->spool, &p->lease, STREAM_METRICS, 150);
    assert_false(file_exists(stream_file(p, "metrics.0000000000")));
    assert_true(spool_totals(p->spool, &p->lease).pending_bytes == before / 4);
    struct strbuf out = {0};
    assert_int_equal(spool_read(p->spool, &p->lease, STREAM_METRICS, 149, &out, &p->err),
                     ERR_NOT_FOUND);
    assert_int_equal(spool_read(p->spool, &p->lease, STREAM_METRICS, 150, &out, &p->err), ERR_OK);
    spool_drop(p->spool, &p->lease, STREAM_METRICS, 200);
    struct msg_result result = {
        .lease = p->lease, .batches = {200}, .reason = "", .numeric_class = "c"};
    finish_as(p, &result);
    reopen(p);
    assert_int_equal(spool_finished_count(p->spool), 1);
    assert_int_equal(spool_totals(p->spool, &p->lease).batches[STREAM_METRICS], 200);
    strbuf_release(&out);
    free(big);
}

static void test_the_spool_is_bounded(void **state)
{
    struct place *p = *state;
    spool_free(p->spool);
    assert_int_equal(spool_open(p->folder, 10, &p->spool, &p->err), ERR_OK);
    assert_int_equal(spool_begin(p->spool, &p->lease, &p->err), ERR_OK);
    assert_int_equal(append_text(p, STREAM_LOG, "12345678"), ERR_OK);
    assert_int_equal(append_text(p, STREAM_LOG, "123"), ERR_LIMIT);
    spool_drop(p->spool, &p->lease, STREAM_LOG, 1); /* acknowledged: there is room again */
    assert_int_equal(append_text(p, STREAM_LOG, "123"), ERR_OK);
}

/* The file may not grow any more (as on a full disk): the batch is refused with the system's
 * reason, what was there stays, and the next one is taken when there is room again. */
static void test_a_full_disk_loses_nothing(void **state)
{
    struct place *p = *state;
    signal(SIGXFSZ, SIG_IGN);
    append_numbered(p, 0);
    struct rlimit old, tight;
    getrlimit(RLIMIT_FSIZE, &old);
    tight = old;
    tight.rlim_cur = 25; /* inside the second entry */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    enum err_code code = append_text(p, STREAM_LOG, "does not fit");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(code, ERR_IO);
    assert_int_equal(p->err.os_errno, EFBIG);
    assert_int_equal(spool_totals(p->spool, &p->lease).batches[STREAM_LOG], 1);
    append_numbered(p, 1);
    finish(p, 2);
    reopen(p);
    expect_batch(p, 0, "line 0");
    expect_batch(p, 1, "line 1");
}

static void test_records_are_counted_and_digested(void **state)
{
    struct place *p = *state;
    struct record records[3] = {{.sequence = 1}, {.sequence = 2}, {.sequence = 3}};
    struct strbuf first = {0}, second = {0};
    records_encode(&first, RECORDS_SCORES, records, 2);
    records_encode(&second, RECORDS_SCORES, records + 2, 1);
    struct bytes a = {(const uint8_t *)first.data, first.len};
    struct bytes b = {(const uint8_t *)second.data, second.len};
    assert_int_equal(spool_append(p->spool, &p->lease, STREAM_RECORDS, a, &p->err), ERR_OK);
    assert_int_equal(spool_append(p->spool, &p->lease, STREAM_RECORDS, b, &p->err), ERR_OK);
    struct spool_totals totals = spool_totals(p->spool, &p->lease);
    assert_int_equal(totals.items, 3);
    strbuf_append(&first, second.data, second.len);
    struct digest expected = hash_bytes(first.data, first.len);
    assert_true(digest_equal(&totals.records, &expected));
    first.data[20] ^= 1; /* what is damaged is refused, not stored */
    a.data = (const uint8_t *)first.data;
    assert_int_equal(spool_append(p->spool, &p->lease, STREAM_RECORDS, a, &p->err), ERR_CORRUPT);
    assert_int_equal(spool_totals(p->spool, &p->lease).batches[STREAM_RECORDS], 2);
    strbuf_release(&first);
    strbuf_release(&second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        TEST(test_a_finished_attempt_survives_a_restart),
        TEST(test_a_running_attempt_does_not),
        TEST(test_a_torn_tail_is_cut_and_the_whole_part_stays),
        TEST(test_a_result_without_all_its_batches_is_not_offered),
        TEST(test_damage_is_noticed_when_reading),
        TEST(test_a_lease_that_was_forgotten_meanwhile_leaves_nothing),
        TEST(test_acknowledged_segments_are_removed),
        TEST(test_the_spool_is_bounded),
        TEST(test_a_full_disk_loses_nothing),
        TEST(test_records_are_counted_and_digested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
