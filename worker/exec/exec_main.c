#include "exec_main.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "exec_kinds.h"
#include "kernels.h"
#include "log.h"
#include "rank_launch.h"

static volatile sig_atomic_t stop_asked;

static void on_terminate(int signal_number)
{
    (void)signal_number;
    stop_asked = 1;
}

bool exec_should_stop(void)
{
    return stop_asked != 0;
}

void exec_signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_terminate};
    sigaction(SIGTERM, &action, NULL);
    signal(SIGINT, SIG_IGN); /* from a terminal it reaches the agent, which decides */
}

/* Die with the agent: without it nobody would read what we say, and the cores are not ours. */
static bool bind_to_parent(int argc, char **argv)
{
    long long parent = 0;
    if (argc >= 3 && strcmp(argv[1], "--parent") == 0 && !str_to_i64(argv[2], &parent))
        return false;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return parent == 0 || getppid() == (pid_t)parent; /* it may have died before the line above */
}

/* Wait for standard input or SIGTERM, which is blocked but here, so that none slips by between the
 * look at the flag and the wait. */
static bool wait_for_input(void)
{
    sigset_t none;
    sigemptyset(&none);
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (!exec_should_stop()) {
        int n = ppoll(&input, 1, NULL, &none);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
    return false;
}

static void block_terminate(int how)
{
    sigset_t terminate;
    sigemptyset(&terminate);
    sigaddset(&terminate, SIGTERM);
    sigprocmask(how, &terminate, NULL);
}

/* A full disk is this machine's fault, not the job's: it is given back. */
static enum outcome outcome_of(enum err_code code, const struct err *err)
{
    if (code == ERR_CANCELLED || err_is_disk_full(err))
        return OUTCOME_CANCELLED;
    return code == ERR_LIMIT ? OUTCOME_MEMORY : OUTCOME_FAILED;
}

/* Do all ranks compute the same bits as rank 0? */
static enum err_code compare_class(const struct train_group *group, struct err *err)
{
    char first[NAME_BYTES_MAX] = "";
    snprintf(first, sizeof first, "%s", exec_numeric_class());
    enum err_code code = train_group_share(group, first, sizeof first, err);
    if (code)
        return code;
    if (strcmp(first, exec_numeric_class()) != 0)
        code = err_set(err, ERR_INVALID, "its node computes as '%s', rank 0's as '%s'",
                       exec_numeric_class(), first);
    return train_group_agree(group, code, err);
}

static enum err_code run_spec(struct exec_context *context, struct arena *arena,
                              struct exec_result *result, struct err *err)
{
    if (context->spec->kind != context->job->kind)
        return err_set(err, ERR_INVALID, "the lease says '%s', the job spec '%s'",
                       job_kind_name(context->job->kind), job_kind_name(context->spec->kind));
    if (context->group && exec_kinds[context->spec->kind] != exec_train)
        return err_set(err, ERR_INVALID, "only trainings can have several ranks");
    enum err_code code = exec_agree(context, exec_numerics_check(context->spec, err), err);
    if (!code && context->group)
        code = compare_class(context->group, err);
    return code ? code : exec_kinds[context->spec->kind](context, arena, result, err);
}

/* The peak of resident memory is to be this job's, not that of the one before (proc(5)). */
static void reset_memory_peak(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = write(fd, "5", 1);
    (void)n; /* then the peak is that of the process */
    close(fd);
}

/* The job's result, whatever becomes of it. Its texts are the arena's or those of `err`. */
static struct exec_result compute(struct exec_context *context, struct arena *arena,
                                  struct err *err)
{
    struct exec_result result = {.outcome = OUTCOME_OK, .reason = "", .artifact = ""};
    struct spec spec;
    enum err_code code = spec_parse(context->job->spec.data, context->job->spec.len, &spec, err);
    enum outcome failure = OUTCOME_FAILED;
    if (!code) {
        context->spec = &spec;
        code = run_spec(context, arena, &result, err);
        failure = outcome_of(code, err);
        spec_release(&spec);
    }
    if (code) {
        result.outcome = failure;
        result.reason = err->text;
        result.artifact = "";
    }
    result.numeric_class = exec_numeric_class();
    return result;
}

enum err_code exec_job_run(const struct exec_job *job, struct exec_warm *warm,
                           const struct train_group *group, int fd, bool (*should_stop)(void),
                           struct err *err)
{
    static struct exec_sink sink; /* too large for a stack */
    struct exec_frame frame = {.kind = EXEC_RUNNING};
    struct arena arena;
    struct err job_err;
    arena_init(&arena, 0);
    exec_sink_init(&sink, fd);
    reset_memory_peak();
    kernel_select();
    kernel_threads_set(job->threads > 0 ? (int)job->threads : 1);
    struct exec_context context = {
        .job = job, .sink = &sink, .warm = warm, .should_stop = should_stop, .group = group};
    enum err_code code = exec_sink_frame(&sink, &frame, err);
    /* A rank must not leave the others alone: its sink fails again, and stops. */
    if (!code || group) {
        frame = (struct exec_frame){.kind = EXEC_RESULT};
        frame.result = compute(&context, &arena, &job_err);
        code = exec_sink_flush(&sink, err);
        if (!code)
            code = exec_sink_frame(&sink, &frame, err);
    }
    exec_sink_release(&sink);
    arena_release(&arena);
    return code;
}

/* A job of several ranks is only kept here. */
static enum err_code run_frame(const struct exec_job *job, const struct strbuf *received,
                               size_t used, struct exec_warm *warm, struct err *err)
{
    const struct bytes frame = {(const uint8_t *)received->data, used};
    return job->ranks > 1 ? rank_launch_run(job, frame, exec_should_stop, err)
                          : exec_job_run(job, warm, NULL, EXEC_FD, exec_should_stop, err);
}

/* Take the complete frame at the beginning of `received`, if there is one, and run it. */
static enum err_code run_received(struct strbuf *received, struct exec_warm *warm, bool *more_out,
                                  struct err *err)
{
    struct arena arena;
    struct exec_frame frame;
    size_t used;
    arena_init(&arena, 0);
    enum err_code code =
        exec_frame_decode(strbuf_text(received), received->len, &arena, &frame, &used, err);
    *more_out = !code && used > 0;
    if (*more_out) {
        block_terminate(SIG_UNBLOCK);
        if (frame.kind == EXEC_JOB)
            code = run_frame(&frame.job, received, used, warm, err);
        memmove(received->data, received->data + used, received->len - used);
        received->len -= used;
        block_terminate(SIG_BLOCK);
    }
    arena_release(&arena);
    return code;
}

int exec_main(int argc, char **argv)
{
    block_terminate(SIG_BLOCK);
    exec_signals_catch();
    log_set_program("exec");
    if (!bind_to_parent(argc, argv))
        return 1;
    if (fcntl(EXEC_FD, F_SETFD, FD_CLOEXEC) != 0) {
        fprintf(stderr, "triad-worker exec: is started by a worker, not by hand\n");
        return 2;
    }
    struct strbuf received = {0};
    struct exec_warm warm = {.model = NULL};
    struct err err;
    enum err_code code = ERR_OK;
    char buffer[16384];
    while (!code && wait_for_input()) {
        ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);
        if (n <= 0)
            break; /* the agent wants no more of us */
        strbuf_append(&received, buffer, (size_t)n);
        for (bool more = true; more && !code;)
            code = run_received(&received, &warm, &more, &err);
    }
    if (code)
        fprintf(stderr, "triad-worker exec: %s\n", err.text);
    exec_warm_release(&warm);
    strbuf_release(&received);
    return code ? 1 : 0;
}
