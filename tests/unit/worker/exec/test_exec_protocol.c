/* Frames between agent and child: every kind comes back as it was, pieces wait for the rest, and
 * what is malformed is refused. */
#include "cmocka_all.h"

#include <math.h>
#include <string.h>

#include "exec_protocol.h"

static struct exec_frame round_trip(const struct exec_frame *frame, struct arena *arena)
{
    struct strbuf bytes = {0};
    struct exec_frame out;
    size_t used;
    struct err err;
    exec_frame_encode(&bytes, frame);
    for (size_t len = 0; len < bytes.len; len++) { /* every beginning is incomplete */
        assert_int_equal(exec_frame_decode(bytes.data, len, arena, &out, &used, &err), ERR_OK);
        assert_int_equal(used, 0);
    }
    strbuf_putc(&bytes, 'x'); /* the next frame's first byte */
    assert_int_equal(exec_frame_decode(bytes.data, bytes.len, arena, &out, &used, &err), ERR_OK);
    assert_int_equal(used, bytes.len - 1);
    assert_int_equal(out.kind, frame->kind);
    strbuf_release(&bytes);
    return out;
}

static void test_a_job_comes_back_as_it_was(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct exec_input inputs[] = {{"data", "/c/1"}, {"tokenizer", "/c/2"}};
    struct exec_input parents[] = {{"start", "/w/parent-start"}};
    struct exec_frame frame = {.kind = EXEC_JOB};
    frame.job = (struct exec_job){.kind = JOB_SPECTRUM,
                                  .spec = {(const uint8_t *)"{\"a\":1}", 7},
                                  .work_folder = "/w",
                                  .inputs = inputs,
                                  .input_count = 2,
                                  .parents = parents,
                                  .parent_count = 1,
                                  .model = hash_bytes("m", 1),
                                  .resume_folder = "/w/resume-state",
                                  .resume_step = 1ULL << 40,
                                  .threads = 7,
                                  .memory_bytes = 1ULL << 35};
    struct exec_job job = round_trip(&frame, &arena).job;
    assert_int_equal(job.kind, JOB_SPECTRUM);
    assert_memory_equal(job.spec.data, "{\"a\":1}", job.spec.len);
    assert_string_equal(job.inputs[1].name, "tokenizer");
    assert_string_equal(job.inputs[1].path, "/c/2");
    assert_string_equal(job.parents[0].path, "/w/parent-start");
    assert_true(digest_equal(&job.model, &frame.job.model));
    assert_string_equal(job.resume_folder, "/w/resume-state");
    assert_true(job.resume_step == 1ULL << 40 && job.memory_bytes == 1ULL << 35);
    assert_int_equal(job.threads, 7);
    arena_release(&arena);
}

static void test_what_a_child_says_comes_back_as_it_was(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct exec_frame running = {.kind = EXEC_RUNNING};
    round_trip(&running, &arena);
    struct exec_frame progress = {.kind = EXEC_PROGRESS, .progress = {3, 10, (double)NAN, 1234.5}};
    struct exec_progress p = round_trip(&progress, &arena).progress;
    assert_true(p.done == 3 && p.total == 10 && isnan(p.loss_nats) && p.tokens_per_s == 1234.5);
    struct exec_frame batch = {.kind = EXEC_BATCH,
                               .batch = {STREAM_RECORDS, {(const uint8_t *)"\0\1", 2}}};
    struct exec_batch b = round_trip(&batch, &arena).batch;
    assert_int_equal(b.stream, STREAM_RECORDS);
    assert_memory_equal(b.payload.data, "\0\1", b.payload.len);
    struct exec_frame checkpoint = {.kind = EXEC_CHECKPOINT, .checkpoint = {17, "checkpoint-17"}};
    assert_string_equal(round_trip(&checkpoint, &arena).checkpoint.folder, "checkpoint-17");
    struct exec_frame result = {.kind = EXEC_RESULT,
                                .result = {OUTCOME_DIVERGED, "NaN", 5, "artifact", 9, "c/1"}};
    struct exec_result r = round_trip(&result, &arena).result;
    assert_int_equal(r.outcome, OUTCOME_DIVERGED);
    assert_string_equal(r.reason, "NaN");
    assert_true(r.items == 5 && r.start_step == 9);
    assert_string_equal(r.numeric_class, "c/1");
    arena_release(&arena);
}

static enum err_code decode(const char *bytes, size_t len)
{
    struct arena arena = {0};
    struct exec_frame frame;
    size_t used;
    enum err_code code = exec_frame_decode(bytes, len, &arena, &frame, &used, NULL);
    arena_release(&arena);
    return code;
}

static void test_what_is_malformed_is_refused(void **state)
{
    (void)state;
    assert_int_equal(decode("\xff\xff\xff\xff", 4), ERR_LIMIT);
    assert_int_equal(decode("\0\0\0\0", 4), ERR_LIMIT);
    assert_int_equal(decode("\1\0\0\0\x63", 5), ERR_CORRUPT);         /* unknown kind */
    assert_int_equal(decode("\2\0\0\0\1x", 6), ERR_CORRUPT);          /* RUNNING with a body */
    assert_int_equal(decode("\5\0\0\0\3\x09\0\0\0", 9), ERR_CORRUPT); /* unknown stream */
    struct strbuf bytes = {0};
    struct exec_frame frame = {.kind = EXEC_CHECKPOINT, .checkpoint = {1, "../../etc"}};
    exec_frame_encode(&bytes, &frame);
    assert_int_equal(decode(bytes.data, bytes.len), ERR_CORRUPT); /* leads out of the folder */
    strbuf_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_comes_back_as_it_was),
        cmocka_unit_test(test_what_a_child_says_comes_back_as_it_was),
        cmocka_unit_test(test_what_is_malformed_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
