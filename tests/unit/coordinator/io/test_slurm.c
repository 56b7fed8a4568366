/* Slurm's commands as texts, and what Slurm prints, odd cases included. */
#include "cmocka_all.h"

#include <string.h>

#include "slurm.h"

static struct arena arena;

static int tear_down(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static bool has(const char *const *argv, const char *word)
{
    for (size_t i = 0; argv[i]; i++) {
        if (strcmp(argv[i], word) == 0)
            return true;
    }
    return false;
}

static void test_submission(void **state)
{
    (void)state;
    static const char *arguments[] = {"--partition=long", "--account=a b"};
    const struct alloc_queue_options queue = {.name = "q",
                                              .cores = 16,
                                              .memory_bytes = ((uint64_t)3 << 30) + 1,
                                              .time_ms = 90 * 60000 + 59999,
                                              .idle_ms = 300000,
                                              .arguments = arguments,
                                              .argument_count = 2};
    const struct slurm_worker worker = {.program = "/opt/o'brien/triad-worker",
                                        .access = "/s/worker.access",
                                        .folder = "/s/alloc/n 1",
                                        .name = "triad-x-q-1",
                                        .log = "/s/alloc/1.log"};
    const char *const *argv = slurm_submit_command(&queue, &worker, false, &arena);
    size_t count = 0;
    while (argv[count])
        count++;
    assert_string_equal(argv[0], "sbatch");
    assert_true(has(argv, "--parsable"));
    assert_true(has(argv, "--time=90")); /* never more than asked for */
    assert_true(has(argv, "--mem=3073M"));
    assert_true(has(argv, "--cpus-per-task=16"));
    assert_true(has(argv, "--job-name=triad-x-q-1"));
    assert_string_equal(argv[count - 2], "--partition=long"); /* last, so that they win */
    assert_string_equal(argv[count - 1], "--account=a b");
    assert_true(has(slurm_submit_command(&queue, &worker, true, &arena), "--test-only"));
    struct alloc_queue_options shared = queue;
    shared.ranks = 4; /* each of them with these cores and memory, wherever they come to lie */
    argv = slurm_submit_command(&shared, &worker, false, &arena);
    assert_true(has(argv, "--ntasks=4") && has(argv, "--cpus-per-task=16"));
    assert_true(has(argv, "--mem-per-cpu=193M"));
    assert_false(has(argv, "--nodes=1"));
    const char *script = slurm_script(&queue, &worker, &arena);
    assert_int_equal(strncmp(script, "#!/bin/sh\nexec ", 15), 0);
    assert_non_null(strstr(script, "'/opt/o'\\''brien/triad-worker'"));
    assert_non_null(strstr(script, "--dir '/s/alloc/n 1'"));
    assert_non_null(strstr(script, "--threads 16 --memory 3221225473"));
    assert_non_null(strstr(script, "--drain-when-idle 300"));
    assert_null(strstr(script, "--data-listen"));
    struct alloc_queue_options serving = queue;
    serving.data_listen = "0.0.0.0:7304";
    script = slurm_script(&serving, &worker, &arena);
    assert_non_null(strstr(script, " --data-listen '0.0.0.0:7304'\n"));
    argv = slurm_submit_command(&serving, &worker, false, &arena);
    const char *shown = slurm_shown(argv, script, &arena);
    assert_non_null(strstr(shown, " --partition=long '--account=a b' <<'SCRIPT'\n#!/bin/sh\n"));
    assert_string_equal(shown + strlen(shown) - 7, "\nSCRIPT");
}

static void test_batch_ids(void **state)
{
    (void)state;
    assert_string_equal(slurm_batch_id("123\n", &arena), "123");
    assert_string_equal(slurm_batch_id("123;cluster2\n", &arena), "123");
    assert_null(slurm_batch_id("", &arena));
    assert_null(slurm_batch_id("Submitted batch job 5", &arena));
    assert_null(slurm_batch_id("12x", &arena));
    assert_null(slurm_batch_id("123456789012345678901234567890123", &arena));
}

static void test_complaints_about_lost_answers(void **state)
{
    (void)state;
    assert_true(slurm_may_have_taken("sbatch: error: Batch job submission failed: Socket timed out "
                                     "on send/recv operation"));
    assert_true(slurm_may_have_taken("sbatch: error: Batch job submission failed: Zero Bytes were "
                                     "transmitted or received"));
    assert_false(slurm_may_have_taken("sbatch: error: invalid partition specified: nowhere"));
    assert_false(slurm_may_have_taken("sbatch: error: Batch job submission failed: Unable to "
                                      "contact slurm controller (connect failure)"));
}

/* Recorded from Slurm 22.05 and its documentation of formats. */
static void test_listings(void **state)
{
    (void)state;
    struct err err;
    struct alloc_listed *rows;
    size_t count;
    static const char good[] = "17|triad-x-q-1|PENDING|Resources\n"
                               "18|triad-x-q-2|RUNNING|None\n"
                               "19|triad-x-q-3|FAILED|NonZeroExitCode\n"
                               "20|triad-x-q-4|PENDING|(ReqNodeNotAvail, UnavailableNodes:n[1-3])\n"
                               "21|triad-x-q-5|CANCELLED|a|b";
    assert_int_equal(slurm_list_parse(good, sizeof good - 1, &arena, &rows, &count, &err), ERR_OK);
    assert_int_equal(count, 5);
    assert_string_equal(rows[0].batch_id, "17");
    assert_string_equal(rows[0].state, "PENDING");
    assert_string_equal(rows[1].text, "");
    assert_string_equal(rows[3].text, "(ReqNodeNotAvail, UnavailableNodes:n[1-3])");
    assert_string_equal(rows[4].text, "a|b");
    assert_int_equal(slurm_list_parse("", 0, &arena, &rows, &count, &err), ERR_OK);
    assert_int_equal(count, 0);
    static const char *const bad[] = {"slurm_load_jobs error: Unable to contact\n",
                                      "17|triad-x-q-1\n", "abc|triad|RUNNING|None\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(slurm_list_parse(bad[i], strlen(bad[i]), &arena, &rows, &count, &err),
                         ERR_INVALID);
        assert_non_null(strstr(err.text, "squeue"));
    }
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_submission),
        TEST(test_batch_ids),
        cmocka_unit_test(test_complaints_about_lost_answers),
        TEST(test_listings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
