/* Child processes that crash, hang, flood, babble or leave grandchildren behind: the loop hears of
 * each end exactly once, with the truth, and nothing stays alive. */
#include "cmocka_all.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "await.h"
#include "exec_child.h"
#include "process_info.h"

struct watch {
    uv_loop_t loop;
    struct exec_child *child;
    uint64_t frames, lines;
    int refuse;        /* frames that are not taken the first time */
    bool kill_at_line; /* SIGKILL when it says something */
    char first_line[256];
    int ends;
    struct exec_child_end end;
    char text[1024];
    uv_timer_t timer, ticker;
};

static void on_resume(uv_timer_t *timer)
{
    struct watch *w = timer->data;
    exec_child_resume(w->child);
}

static bool on_frame(void *ctx, struct exec_child *child, const struct exec_frame *frame)
{
    struct watch *w = ctx;
    if (w->refuse > 0) {
        w->refuse--;
        w->child = child;
        uv_timer_start(&w->timer, on_resume, 1, 0);
        return false;
    }
    if (frame->kind == EXEC_BATCH) {
        char expected[32];
        snprintf(expected, sizeof expected, "batch %d", (int)w->frames - 1);
        assert_int_equal(frame->batch.payload.len, strlen(expected));
        assert_memory_equal(frame->batch.payload.data, expected, strlen(expected));
    }
    w->frames++;
    return true;
}

static void on_line(void *ctx, struct exec_child *child, const char *line, size_t len)
{
    struct watch *w = ctx;
    if (w->lines++ == 0)
        snprintf(w->first_line, sizeof w->first_line, "%.*s", (int)len, line);
    if (w->kill_at_line)
        exec_child_signal(child, SIGKILL);
}

static void on_end(void *ctx, struct exec_child *child, const struct exec_child_end *end)
{
    (void)child;
    struct watch *w = ctx;
    w->ends++;
    w->end = *end;
    snprintf(w->text, sizeof w->text, "%s", end->text);
    uv_close((uv_handle_t *)&w->timer, NULL);
}

static void start(struct watch *w, const char *how)
{
    const char *arguments[] = {"bad_child", how, NULL};
    struct exec_child_options options = {.loop = &w->loop,
                                         .program = BAD_CHILD,
                                         .arguments = arguments,
                                         .folder = "/tmp",
                                         .ctx = w,
                                         .on_frame = on_frame,
                                         .on_line = on_line,
                                         .on_end = on_end};
    struct err err;
    uv_loop_init(&w->loop);
    uv_timer_init(&w->loop, &w->timer);
    w->timer.data = w;
    await_tick(&w->loop, &w->ticker);
    assert_int_equal(exec_child_start(&options, &w->child, &err), ERR_OK);
}

static void run(struct watch *w)
{
    AWAIT(&w->loop, !uv_loop_alive(&w->loop));
    assert_int_equal(w->ends, 1);
    uv_close((uv_handle_t *)&w->ticker, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void test_a_crash_is_told_with_its_last_words(void **state)
{
    (void)state;
    struct watch w = {.ends = 0};
    start(&w, "crash");
    run(&w);
    assert_int_equal(w.end.exit_signal, SIGABRT);
    assert_false(w.end.out_of_memory);
    assert_non_null(strstr(w.text, "signal 6"));
    assert_non_null(strstr(w.text, "it last said: last words"));
    assert_int_equal(w.lines, 2);
}

static void test_an_exit_without_result(void **state)
{
    (void)state;
    struct watch w = {.ends = 0};
    start(&w, "quit");
    run(&w);
    assert_int_equal(w.end.exit_code, 7);
    assert_string_equal(w.text, "the child process exited with status 7 and no result");
}

static void test_frames_arrive_in_order_also_when_refused_for_a_while(void **state)
{
    (void)state;
    struct watch w = {.refuse = 3};
    start(&w, "frames");
    run(&w);
    assert_int_equal(w.frames, 101);
    assert_int_equal(w.refuse, 0);
}

static void test_garbage_ends_the_child(void **state)
{
    (void)state;
    struct watch w = {.ends = 0};
    start(&w, "garbage");
    run(&w);
    assert_int_equal(w.end.exit_signal, SIGKILL);
    assert_string_equal(w.text, "the child process wrote what is no frame");
}

static void test_a_child_that_ignores_sigterm_can_be_killed(void **state)
{
    (void)state;
    struct watch w = {.kill_at_line = true};
    start(&w, "hang");
    run(&w);
    assert_int_equal(w.end.exit_signal, SIGKILL);
    assert_false(w.end.out_of_memory); /* it was us */
}

static void test_a_flood_of_text_is_read_to_its_end(void **state)
{
    (void)state;
    struct watch w = {.ends = 0};
    start(&w, "flood");
    run(&w);
    assert_int_equal(w.lines, 300000);
}

/* Gone, or a zombie that init has not collected yet. */
static bool is_dead(pid_t pid)
{
    char path[64], line[256] = {0};
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return true;
    size_t n = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    return n == 0 || strstr(line, ") Z ") || strstr(line, ") X ");
}

static void test_grandchildren_die_with_the_child(void **state)
{
    (void)state;
    struct watch w = {.ends = 0};
    start(&w, "grandchild");
    run(&w);
    pid_t grandchild = (pid_t)atoi(w.first_line);
    assert_true(grandchild > 1);
    /* SIGKILL was sent; the kernel carries it out in its own time. */
    AWAIT_BY(usleep(10000), is_dead(grandchild));
}

static void test_a_job_reaches_standard_input(void **state)
{
    (void)state;
    struct watch w = {.ends = 0};
    start(&w, "echo");
    struct exec_job job = {.kind = JOB_EVALUATE, .work_folder = "/tmp", .resume_folder = ""};
    struct exec_frame frame = {.kind = EXEC_JOB, .job = job};
    struct strbuf bytes = {0};
    exec_frame_encode(&bytes, &frame);
    exec_child_send(w.child, &frame);
    run(&w);
    char expected[64];
    snprintf(expected, sizeof expected, "got %zu bytes", bytes.len);
    assert_string_equal(w.first_line, expected);
    strbuf_release(&bytes);
}

static void test_a_missing_program_is_an_error(void **state)
{
    (void)state;
    uv_loop_t loop;
    uv_loop_init(&loop);
    const char *arguments[] = {"x", NULL};
    struct exec_child_options options = {
        .loop = &loop, .program = "/nowhere/at/all", .arguments = arguments, .folder = "/tmp"};
    struct exec_child *child = NULL;
    struct err err;
    assert_int_equal(exec_child_start(&options, &child, &err), ERR_IO);
    assert_int_equal(err.os_errno, ENOENT);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_own_io_counts_what_is_read(void **state)
{
    (void)state;
    enum { BYTES = 3 << 20 };
    char *bytes = malloc(BYTES);
    FILE *zeros = fopen("/dev/zero", "r");
    assert_non_null(bytes);
    assert_non_null(zeros);
    const uint64_t before = process_info_own_io();
    assert_int_equal(fread(bytes, 1, BYTES, zeros), BYTES);
    if (process_info_own_io() == 0)
        skip(); /* a kernel that does not count */
    assert_true(process_info_own_io() - before >= BYTES);
    fclose(zeros);
    free(bytes);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crash_is_told_with_its_last_words),
        cmocka_unit_test(test_an_exit_without_result),
        cmocka_unit_test(test_frames_arrive_in_order_also_when_refused_for_a_while),
        cmocka_unit_test(test_garbage_ends_the_child),
        cmocka_unit_test(test_a_child_that_ignores_sigterm_can_be_killed),
        cmocka_unit_test(test_a_flood_of_text_is_read_to_its_end),
        cmocka_unit_test(test_grandchildren_die_with_the_child),
        cmocka_unit_test(test_a_job_reaches_standard_input),
        cmocka_unit_test(test_a_missing_program_is_an_error),
        cmocka_unit_test(test_own_io_counts_what_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
