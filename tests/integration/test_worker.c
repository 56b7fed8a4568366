/* A real worker process with real children, spoken to by a scripted coordinator over real sockets:
 * jobs from lease to acknowledged result, and what happens when a child, the worker or the
 * coordinator goes away in the middle. */
#include "cmocka_all.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "file.h"
#include "records.h"
#include "slow_disk.h"
#include "worker_jobs.h"

static void test_import_then_evaluate_twice_on_a_warm_child(void **state)
{
    (void)state;
    struct scripted s;
    begin(&s, "1");
    struct scripted_job *import = lease_import(&s);
    AWAIT(&s.loop, all_ended(&s));
    expect_outcome(import, OUTCOME_OK);
    assert_non_null(scripted_blob(&s, &import->result.artifact));
    assert_non_null(strstr(strbuf_text(&import->streams[STREAM_LOG]), "<|end|>"));

    struct scripted_job *first = lease_evaluate(&s, import->result.artifact, 300, "a");
    AWAIT(&s.loop, all_ended(&s));
    expect_outcome(first, OUTCOME_OK);
    pid_t warm = child_of(s.worker);
    struct scripted_job *second = lease_evaluate(&s, import->result.artifact, 300, "b");
    AWAIT(&s.loop, all_ended(&s));
    expect_outcome(second, OUTCOME_OK);
    assert_int_equal(child_of(s.worker), warm);

    assert_int_equal(first->result.items, 600);
    assert_int_equal(first->result.batches[STREAM_RECORDS], 3); /* 256 + 256 + 88 */
    struct strbuf *bytes = &first->streams[STREAM_RECORDS];
    struct digest expected = hash_bytes(bytes->data, bytes->len);
    assert_true(digest_equal(&first->result.records, &expected));
    assert_true(digest_equal(&second->result.records, &expected));
    struct record_batch batch;
    struct arena arena = {0};
    assert_int_equal(records_decode(bytes->data, 16 + 256 * 39, &arena, &batch, NULL), ERR_OK);
    assert_int_equal(batch.kind, RECORDS_SCORES);
    assert_true(batch.records[0].content_nats > 0.0 && batch.records[0].content_nats < 30.0);
    assert_true(batch.records[0].terminator_nats > 0.0);
    assert_true(batch.records[0].greedy_nats > 0.0);
    arena_release(&arena);
    assert_true(first->result.memory_peak_bytes > 1000000);
    assert_non_null(strstr(first->numeric_class, "packed/f32/"));
    AWAIT(&s.loop, nothing_held(&s));
    scripted_end(&s);
}

/* A result is delivered, and the worker beats, while its disk makes nothing durable. */
static void test_a_slow_disk_holds_nobody_up(void **state)
{
    (void)state;
    struct scripted s;
    char rules[128];
    scripted_begin(&s);
    snprintf(rules, sizeof rules, "%s/rules", s.folder);
    slow_disk_rules(rules, "sync hold /worker/spool\n");
    s.slow_disk = rules;
    scripted_worker_start(&s, "1");
    AWAIT(&s.loop, has_session(&s));
    struct scripted_job *import = lease_import(&s);
    AWAIT(&s.loop, all_ended(&s));
    expect_outcome(import, OUTCOME_OK);
    struct scripted_job *job = lease_evaluate(&s, import->result.artifact, 300, "a");
    AWAIT(&s.loop, all_ended(&s));
    expect_outcome(job, OUTCOME_OK);
    AWAIT(&s.loop, nothing_held(&s));
    assert_int_equal(s.hellos, 1);
    slow_disk_rules(rules, "");
    assert_true(WIFEXITED(scripted_worker_stop(&s, SIGTERM)));
    assert_int_equal(count_names(&s, "spool", ""), 0);
    scripted_end(&s);
}

static void test_a_wrong_job_fails_with_its_sentence(void **state)
{
    (void)state;
    struct scripted s;
    begin(&s, "1");
    struct scripted_job *job =
        scripted_lease(&s, JOB_EVALUATE, "{\"kind\":\"evaluate\",\"x\":1}", NULL, 0, NULL, 0);
    AWAIT(&s.loop, all_ended(&s));
    expect_outcome(job, OUTCOME_FAILED);
    assert_string_equal(job->reason, "job spec: unknown key 'x'");
    scripted_end(&s);
}

static void test_a_training_that_needs_more_memory_refuses_with_numbers(void **state)
{
    (void)state;
    struct scripted s;
    begin(&s, "1");
    s.lease_memory_bytes = 256 * 1024;
    struct scripted_job *job = lease_pretrain(&s, 2, 0, "0.01");
    AWAIT(&s.loop, all_ended(&s));
    expect_outcome(job, OUTCOME_MEMORY);
    assert_non_null(strstr(job->reason, "the job has 0.2 MiB: give it more memory"));
    scripted_end(&s);
}

static void test_divergence_is_an_outcome(void **state)
{
    (void)state;
    struct scripted s;
    begin(&s, "1");
    struct scripted_job *job = lease_pretrain(&s, 50, 0, "1e6");
    AWAIT(&s.loop, all_ended(&s));
    expect_outcome(job, OUTCOME_DIVERGED);
    assert_non_null(strstr(job->reason, "is not finite at step"));
    assert_true(job->result.batches[STREAM_METRICS] > 0);
    scripted_end(&s);
}

static void test_a_killed_child_is_a_crash(void **state)
{
    (void)state;
    struct scripted s;
    begin(&s, "1");
    struct scripted_job *job = lease_pretrain(&s, 100000000, 0, "0.001");
    AWAIT(&s.loop, has_metrics(&s));
    pid_t child = child_of(s.worker);
    assert_true(child > 1);
    kill(child, SIGKILL);
    AWAIT(&s.loop, all_ended(&s));
    expect_outcome(job, OUTCOME_CRASHED);
    assert_int_equal(job->result.exit_signal, SIGKILL);
    assert_non_null(strstr(job->reason, "killed by signal 9"));
    scripted_end(&s);
}

static void test_a_revoked_attempt_is_killed_and_forgotten(void **state)
{
    (void)state;
    struct scripted s;
    begin(&s, "1");
    struct scripted_job *job = lease_pretrain(&s, 100000000, 0, "0.001");
    AWAIT(&s.loop, has_metrics(&s));
    pid_t child = child_of(s.worker);
    scripted_revoke(&s, job);
    AWAIT(&s.loop, nothing_held(&s));
    AWAIT(&s.loop, kill(child, 0) != 0);
    assert_false(job->ended);
    assert_int_equal(job->checkpoint_step, 0);
    scripted_end(&s);
}

static bool has_many_checkpoints(struct scripted *s)
{
    return s->jobs[0].checkpoint_step >= 400;
}

/* A long training saves its state a thousand times: what is in the store is not kept here for as
 * long as the attempt lasts. And who is told to stop saves once more, when nobody wants it. */
static void test_checkpoints_do_not_gather(void **state)
{
    (void)state;
    struct scripted s;
    char hex[DIGEST_HEX_SIZE], folder[128];
    begin(&s, "1");
    struct scripted_job *job = lease_pretrain(&s, 100000000, 10, "0.001");
    AWAIT(&s.loop, has_many_checkpoints(&s));
    snprintf(folder, sizeof folder, "attempts/%s-%u", digest_hex(&job->lease.lease.job, hex),
             job->lease.lease.epoch);
    assert_in_range(count_names(&s, folder, "checkpoint-"), 0, 1);
    /* Of each three files and the list of all change; two inputs and three files stay the same. */
    assert_in_range(count_names(&s, "cache", ""), 6, 3 * 4 + 8);
    pid_t child = child_of(s.worker);
    scripted_revoke(&s, job);
    AWAIT(&s.loop, nothing_held(&s));
    AWAIT(&s.loop, kill(child, 0) != 0);
    AWAIT(&s.loop, count_names(&s, "attempts", "") == 0);
    scripted_end(&s);
}

static void test_a_silent_coordinator_is_waited_for(void **state)
{
    (void)state;
    struct scripted s;
    begin(&s, "1");
    struct scripted_job *job = lease_pretrain(&s, 100000000, 0, "0.001");
    AWAIT(&s.loop, has_metrics(&s));
    uint64_t session = s.session;
    uint32_t batches = job->next[STREAM_METRICS];
    s.mute = true;
    uint64_t end = uv_hrtime() + 1500000000; /* 30 beats: far more than the worker's patience */
    while (uv_hrtime() < end)
        uv_run(&s.loop, UV_RUN_ONCE);
    s.mute = false;
    AWAIT(&s.loop, s.session != session);
    assert_int_equal(s.held_count, 1);
    AWAIT(&s.loop, has_metrics(&s));
    AWAIT(&s.loop, job->next[STREAM_METRICS] > batches);
    assert_false(job->ended); /* it went on computing */
    scripted_end(&s);
}

static void test_a_killed_worker_delivers_after_its_restart(void **state)
{
    (void)state;
    struct scripted s;
    begin(&s, "1");
    s.keep_result_acks = true;
    struct scripted_job *job = lease_pretrain(&s, 20, 0, "0.001");
    AWAIT(&s.loop, all_ended(&s));
    expect_outcome(job, OUTCOME_OK);
    AWAIT(&s.loop, result_is_spooled(&s)); /* it may be told before */
    struct digest artifact = job->result.artifact;
    struct digest instance = s.instance;
    assert_int_equal(WTERMSIG(scripted_worker_stop(&s, SIGKILL)), SIGKILL);
    job->ended = false;
    s.keep_result_acks = false;
    s.hellos = 0;
    scripted_worker_start(&s, "1");
    AWAIT(&s.loop, all_ended(&s));
    assert_int_equal(s.finished_in_hello, 1);
    assert_false(digest_equal(&instance, &s.instance));
    assert_true(digest_equal(&artifact, &job->result.artifact));
    expect_outcome(job, OUTCOME_OK);
    AWAIT(&s.loop, nothing_held(&s));
    scripted_end(&s);
}

static void test_children_die_with_a_killed_worker(void **state)
{
    (void)state;
    struct scripted s;
    begin(&s, "1");
    lease_pretrain(&s, 100000000, 0, "0.001");
    AWAIT(&s.loop, has_started(&s));
    pid_t child = child_of(s.worker);
    scripted_worker_stop(&s, SIGKILL);
    AWAIT(&s.loop, kill(child, 0) != 0);
    scripted_end(&s);
}

/* The heart of resuming: stopped by SIGTERM in the middle and continued by another process, the
 * weights are bit for bit those of the undisturbed run. */
/* Run a job whole, then again until a checkpoint, stop the worker, and let another one with more
 * threads resume it: the same artifact. */
static void stop_and_resume(struct scripted *s, struct scripted_job *whole,
                            uint64_t first_checkpoint)
{
    AWAIT(&s->loop, all_ended(s));
    expect_outcome(whole, OUTCOME_OK);
    assert_int_equal(whole->result.start_step, 0);
    struct digest artifact = whole->result.artifact;
    AWAIT(&s->loop, nothing_held(s));

    scripted_lease_again(s, whole, 2);
    AWAIT(&s->loop, has_checkpoint(s));
    int status = scripted_worker_stop(s, SIGTERM);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(said_bye(s));
    expect_outcome(whole, OUTCOME_PREEMPTED);
    assert_true(whole->checkpoint_step >= first_checkpoint);

    uint64_t step = whole->checkpoint_step;
    whole->lease.resume = whole->checkpoint;
    whole->lease.resume_step = step;
    s->session = 0;
    scripted_worker_start(s, "2");
    AWAIT(&s->loop, has_session(s));
    whole->lease.threads = 2;
    scripted_lease_again(s, whole, 3);
    AWAIT(&s->loop, all_ended(s));
    expect_outcome(whole, OUTCOME_OK);
    assert_true(whole->result.start_step == step);
    assert_true(digest_equal(&artifact, &whole->result.artifact));
}

static void test_a_stopped_training_resumes_bit_for_bit(void **state)
{
    (void)state;
    struct scripted s;
    begin(&s, "1");
    stop_and_resume(&s, lease_pretrain(&s, 600, 200, "0.001"), 200);
    scripted_end(&s);
}

/* Its checkpoint holds the adapter alone: the model comes from the parent again. */
static void test_a_stopped_adapter_resumes_bit_for_bit(void **state)
{
    (void)state;
    struct scripted s;
    begin(&s, "1");
    struct scripted_job *import = lease_import(&s);
    AWAIT(&s.loop, all_ended(&s));
    expect_outcome(import, OUTCOME_OK);
    struct scripted_job *job = lease_adapter(&s, import->result.artifact, 300, 100);
    stop_and_resume(&s, job, 100);
    const char *log = strbuf_text(&job->streams[STREAM_LOG]);
    assert_non_null(strstr(log, "memory plan: "));
    assert_non_null(strstr(log, "  adapter "));
    /* Other programs stop where its turns end: stories260K's </s>, and the token of the import. */
    const struct digest *artifact = &job->result.artifact;
    assert_string_equal(file_of(&s, artifact, "chat_template.jinja"), "{{ t }}");
    const char *generation = file_of(&s, artifact, "generation_config.json");
    assert_non_null(strstr(generation, "2,\n    512\n"));
    assert_non_null(strstr(file_of(&s, artifact, "config.json"), "2,\n    512\n"));
    scripted_end(&s);
}

/* Not NaN, but on the way up: stopped with the numbers, and with the last checkpoint from before.
 */
static void test_a_rising_loss_stops_with_its_checkpoint(void **state)
{
    (void)state;
    struct scripted s;
    begin(&s, "1");
    const struct training t = {400, 1, "0.7", "0.4", ""};
    struct scripted_job *job = lease_training(&s, &t);
    AWAIT(&s.loop, all_ended(&s));
    expect_outcome(job, OUTCOME_DIVERGED);
    assert_non_null(strstr(job->reason, "the loss rose: at step "));
    assert_non_null(strstr(job->reason, "more than loss_rise_max 0.4; the checkpoint of step "));
    assert_true(job->checkpoint_step > 0);
    scripted_end(&s);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_import_then_evaluate_twice_on_a_warm_child),
        cmocka_unit_test(test_a_slow_disk_holds_nobody_up),
        cmocka_unit_test(test_a_wrong_job_fails_with_its_sentence),
        cmocka_unit_test(test_a_training_that_needs_more_memory_refuses_with_numbers),
        cmocka_unit_test(test_divergence_is_an_outcome),
        cmocka_unit_test(test_a_killed_child_is_a_crash),
        cmocka_unit_test(test_a_revoked_attempt_is_killed_and_forgotten),
        cmocka_unit_test(test_checkpoints_do_not_gather),
        cmocka_unit_test(test_a_silent_coordinator_is_waited_for),
        cmocka_unit_test(test_a_killed_worker_delivers_after_its_restart),
        cmocka_unit_test(test_children_die_with_a_killed_worker),
        cmocka_unit_test(test_a_stopped_training_resumes_bit_for_bit),
        cmocka_unit_test(test_a_stopped_adapter_resumes_bit_for_bit),
        cmocka_unit_test(test_a_rising_loss_stops_with_its_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
