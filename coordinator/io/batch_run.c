#include "batch_run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "str.h"

struct command {
    struct command *next;
    char **argv;
    char *input;
    batch_done_f *done;
    void *ctx;
};

struct batch_run {
    uv_loop_t *loop;
    struct command *first, **last;
    bool freed;

    /* The command under way. */
    bool busy;
    uv_process_t process;
    uv_pipe_t in, out, err;
    uv_timer_t limit;
    uv_write_t write;
    int open_handles;
    struct strbuf output, complaint;
    bool too_much, timed_out, exited;
    int64_t exit_status;
    int term_signal;
    char chunk[65536];
};

static void start_next(struct batch_run *run);

struct batch_run *batch_run_new(uv_loop_t *loop)
{
    struct batch_run *run = calloc(1, sizeof *run);
    ASSERT(run != NULL);
    run->loop = loop;
    run->last = &run->first;
    return run;
}

static void command_free(struct command *command)
{
    for (size_t i = 0; command->argv[i] != NULL; i++) {
        free(command->argv[i]);
    }
    free(command->argv);
    free(command->input);
    free(command);
}

static void release(struct batch_run *run)
{
    strbuf_release(&run->output);
    strbuf_release(&run->complaint);
    while (run->first != NULL) {
        struct command *command = run->first;
        run->first = command->next;
        command->done(command->ctx, BATCH_CUT, "stopped", strlen("stopped"));
        command_free(command);
    }
    free(run);
}

/* The first line of a complaint, without what would break a message. */
static void first_line(const struct strbuf *text, struct strbuf *out)
{
    const char *line = strbuf_text(text);
    line += strspn(line, " \t\r\n");
    size_t len = strcspn(line, "\r\n");
    strbuf_append_clean(out, line, len < 300 ? len : 300);
}

static void tell(struct batch_run *run, struct command *command)
{
    struct strbuf why = {0};
    if (run->timed_out) {
        strbuf_printf(&why, "'%s' did not end within %d s", command->argv[0], BATCH_RUN_MS / 1000);
    } else if (run->too_much) {
        strbuf_printf(&why, "'%s' wrote more than %zu MiB", command->argv[0],
                      BATCH_OUTPUT_BYTES_MAX >> 20);
    } else if (run->exit_status != 0 || run->term_signal != 0) {
        first_line(run->complaint.len > 0 ? &run->complaint : &run->output, &why);
        if (why.len == 0) {
            strbuf_printf(&why, "'%s' ended with status %d%s", command->argv[0],
                          (int)run->exit_status, run->term_signal != 0 ? ", killed" : "");
        }
    }
    const bool is_cut = run->timed_out || run->too_much || run->term_signal != 0;
    if (why.len > 0) {
        command->done(command->ctx, is_cut ? BATCH_CUT : BATCH_REFUSED, strbuf_text(&why), why.len);
    } else {
        command->done(command->ctx, BATCH_DONE, strbuf_text(&run->output), run->output.len);
    }
    strbuf_release(&why);
}

/* All handles of the command are closed: tell its owner, go on. */
static void finish(struct batch_run *run)
{
    struct command *command = run->first;
    run->busy = false;
    if (run->freed) {
        release(run);
        return;
    }
    run->first = command->next;
    if (run->first == NULL) {
        run->last = &run->first;
    }
    tell(run, command);
    command_free(command);
    start_next(run);
}

static void on_closed(uv_handle_t *handle)
{
    struct batch_run *run = handle->data;
    if (--run->open_handles == 0) {
        finish(run);
    }
}

static void close_handle(void *handle)
{
    uv_handle_t *h = handle;
    if (!uv_is_closing(h)) {
        uv_close(h, on_closed);
    }
}

/* Ended when the process is gone and both of its outputs are read to the end. */
static void check_end(struct batch_run *run)
{
    if (run->exited && uv_is_closing((uv_handle_t *)&run->out) &&
        uv_is_closing((uv_handle_t *)&run->err)) {
        close_handle(&run->in);
        close_handle(&run->limit);
        close_handle(&run->process);
    }
}

static void kill_it(struct batch_run *run)
{
    if (!run->exited) {
        uv_process_kill(&run->process, SIGKILL);
    }
    /* A grandchild may hold the pipes open. */
    close_handle(&run->out);
    close_handle(&run->err);
    check_end(run);
}

static void on_exit_of(uv_process_t *process, int64_t status, int term_signal)
{
    struct batch_run *run = process->data;
    run->exited = true;
    run->exit_status = status;
    run->term_signal = term_signal;
    check_end(run);
}

static void on_limit(uv_timer_t *timer)
{
    struct batch_run *run = timer->data;
    run->timed_out = true;
    kill_it(run);
}

static void on_chunk(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct batch_run *run = handle->data;
    (void)suggested;
    *buf = uv_buf_init(run->chunk, sizeof run->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct batch_run *run = stream->data;
    struct strbuf *into = stream == (uv_stream_t *)&run->out ? &run->output : &run->complaint;
    if (count < 0) {
        close_handle(stream);
        check_end(run);
    } else if (into->len + (size_t)count > BATCH_OUTPUT_BYTES_MAX) {
        run->too_much = true;
        kill_it(run);
    } else {
        strbuf_append(into, buf->base, (size_t)count);
    }
}

/* The command may end without reading all of its input; that is no failure of its own. */
static void on_written(uv_write_t *write, int status)
{
    struct batch_run *run = write->data;
    (void)status;
    close_handle(&run->in);
}

/* Start the command with pipes for all three of its streams; a libuv status. */
static int spawn(struct batch_run *run, const struct command *command)
{
    uv_pipe_t *pipes[] = {&run->in, &run->out, &run->err};
    uv_stdio_container_t stdio[3];
    for (int i = 0; i < 3; i++) {
        uv_pipe_init(run->loop, pipes[i], 0);
        pipes[i]->data = run;
        stdio[i].flags = UV_CREATE_PIPE | (i == 0 ? UV_READABLE_PIPE : UV_WRITABLE_PIPE);
        stdio[i].data.stream = (uv_stream_t *)pipes[i];
    }
    const uv_process_options_t options = {.exit_cb = on_exit_of,
                                          .file = command->argv[0],
                                          .args = command->argv,
                                          .stdio_count = 3,
                                          .stdio = stdio};
    uv_timer_init(run->loop, &run->limit);
    run->limit.data = run->process.data = run->write.data = run;
    run->open_handles = 5;
    return uv_spawn(run->loop, &run->process, &options);
}

static void start_next(struct batch_run *run)
{
    if (run->busy || run->first == NULL) {
        return;
    }
    struct command *command = run->first;
    run->busy = true;
    run->too_much = run->timed_out = run->exited = false;
    run->exit_status = 0;
    run->term_signal = 0;
    strbuf_clear(&run->output);
    strbuf_clear(&run->complaint);
    const int status = spawn(run, command);
    if (status != 0) {
        strbuf_printf(&run->complaint, "cannot run '%s': %s", command->argv[0],
                      uv_strerror(status));
        run->exited = true;
        run->exit_status = 127;
        close_handle(&run->out);
        close_handle(&run->err);
        check_end(run);
        return;
    }
    uv_buf_t input = uv_buf_init(command->input, (unsigned)strlen(command->input));
    uv_timer_start(&run->limit, on_limit, BATCH_RUN_MS, 0);
    uv_read_start((uv_stream_t *)&run->out, on_chunk, on_read);
    uv_read_start((uv_stream_t *)&run->err, on_chunk, on_read);
    if (uv_write(&run->write, (uv_stream_t *)&run->in, &input, 1, on_written) != 0) {
        close_handle(&run->in);
    }
}

void batch_run_add(struct batch_run *run, const char *const *argv, const char *input,
                   batch_done_f *done, void *ctx)
{
    struct command *command = calloc(1, sizeof *command);
    size_t count = 0;
    while (argv[count] != NULL) {
        count++;
    }
    ASSERT(command != NULL && count > 0);
    command->argv = calloc(count + 1, sizeof *command->argv);
    ASSERT(command->argv != NULL);
    for (size_t i = 0; i < count; i++) {
        command->argv[i] = strdup(argv[i]);
        ASSERT(command->argv[i] != NULL);
    }
    command->input = strdup(input);
    ASSERT(command->input != NULL);
    command->done = done;
    command->ctx = ctx;
    *run->last = command;
    run->last = &command->next;
    start_next(run);
}

void batch_run_free(struct batch_run *run)
{
    if (run == NULL) {
        return;
    }
    run->freed = true;
    if (run->busy) {
        kill_it(run);
    } else {
        release(run);
    }
}
