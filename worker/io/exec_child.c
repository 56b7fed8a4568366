#include "exec_child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "process_info.h"

#define LINE_BYTES_MAX 4096
#define READ_BYTES     ((size_t)64 * 1024)
#define SAMPLE_MS      1000
#define END_GRACE_MS   1000 /* for a grandchild that left the process group and holds our pipes */
#define HANDLE_COUNT   5    /* process, three pipes, timer */

struct exec_child {
    struct exec_child_options options;
    uv_process_t process;
    uv_pipe_t input, frames, text;
    uv_timer_t timer; /* samples /proc; after the exit, the grace period */
    uint8_t read_buffer[READ_BYTES];
    struct strbuf received; /* frames not complete, or not taken yet */
    struct strbuf line, last_line;
    bool paused, exited, closing, killed_by_us, frames_ended, text_ended, malformed;
    int open_handles;
    uint64_t oom_kills_before;
    struct exec_child_usage usage;
    struct exec_child_end end;
    struct strbuf end_text;
};

static struct exec_child *child_of(void *handle)
{
    return ((uv_handle_t *)handle)->data;
}

/* ---- the end ---- */

/* Cleaned as a whole: a character may come in two pieces. */
static void take_line(struct exec_child *c)
{
    struct strbuf cleaned = {0};
    strbuf_append_clean(&cleaned, strbuf_text(&c->line), c->line.len);
    c->options.on_line(c->options.ctx, c, strbuf_text(&cleaned), cleaned.len);
    if (cleaned.len > 0) {
        strbuf_release(&c->last_line);
        c->last_line = cleaned;
    }
    strbuf_clear(&c->line);
}

static void end_text_write(struct exec_child *c)
{
    struct strbuf *text = &c->end_text;
    if (c->malformed)
        strbuf_puts(text, "the child process wrote what is no frame");
    else if (c->end.out_of_memory)
        strbuf_puts(text, "the kernel killed the child process for want of memory");
    else if (c->end.exit_signal)
        strbuf_printf(text, "the child process was killed by signal %d (%s)", c->end.exit_signal,
                      strsignal(c->end.exit_signal));
    else
        strbuf_printf(text, "the child process exited with status %d and no result",
                      c->end.exit_code);
    if (c->last_line.len > 0)
        strbuf_printf(text, "; it last said: %.400s", c->last_line.data);
    c->end.text = strbuf_text(text);
}

static void on_closed(uv_handle_t *handle)
{
    struct exec_child *c = child_of(handle);
    if (--c->open_handles > 0)
        return;
    if (c->line.len > 0)
        take_line(c); /* its last words had no line end */
    end_text_write(c);
    c->end.usage = c->usage;
    c->options.on_end(c->options.ctx, c, &c->end);
    strbuf_release(&c->received);
    strbuf_release(&c->line);
    strbuf_release(&c->last_line);
    strbuf_release(&c->end_text);
    free(c);
}

static void child_close(struct exec_child *c)
{
    if (c->closing)
        return;
    c->closing = true;
    uv_close((uv_handle_t *)&c->process, on_closed);
    uv_close((uv_handle_t *)&c->input, on_closed);
    uv_close((uv_handle_t *)&c->frames, on_closed);
    uv_close((uv_handle_t *)&c->text, on_closed);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

static void child_close_if_done(struct exec_child *c)
{
    if (c->exited && c->frames_ended && c->text_ended && !c->paused)
        child_close(c);
}

static void on_grace_over(uv_timer_t *timer)
{
    struct exec_child *c = child_of(timer);
    if (!c->paused)
        child_close(c);
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal_number)
{
    struct exec_child *c = child_of(process);
    c->exited = true;
    c->end.exit_code = (int)status;
    c->end.exit_signal = signal_number;
    c->end.out_of_memory = signal_number == SIGKILL && !c->killed_by_us &&
                           process_info_oom_kills() > c->oom_kills_before;
    kill(-process->pid, SIGKILL); /* what it started does not outlive it */
    uv_timer_start(&c->timer, on_grace_over, END_GRACE_MS, END_GRACE_MS);
    child_close_if_done(c);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct exec_child *c = child_of(handle);
    *out = uv_buf_init((char *)c->read_buffer, sizeof c->read_buffer);
}

static void take_frames(struct exec_child *c)
{
    size_t at = 0;
    while (!c->paused && !c->malformed) {
        struct arena arena;
        arena_init(&arena, 0);
        struct exec_frame frame;
        size_t used;
        struct err err;
        enum err_code code = exec_frame_decode(c->received.data ? c->received.data + at : "",
                                               c->received.len - at, &arena, &frame, &used, &err);
        if (code) {
            c->malformed = true;
            exec_child_signal(c, SIGKILL);
        } else if (used > 0) {
            c->paused = !c->options.on_frame(c->options.ctx, c, &frame);
            at += c->paused ? 0 : used;
        }
        arena_release(&arena);
        if (used == 0)
            break;
    }
    if (at > 0)
        memmove(c->received.data, c->received.data + at, c->received.len - at);
    c->received.len -= at;
}

static void on_frames_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct exec_child *c = child_of(stream);
    if (n > 0 && !c->malformed) {
        strbuf_append(&c->received, buf->base, (size_t)n);
        take_frames(c);
        if (c->paused)
            uv_read_stop(stream);
    } else if (n < 0) {
        c->frames_ended = true;
        uv_read_stop(stream);
        child_close_if_done(c);
    }
}

static void take_text(struct exec_child *c, const char *bytes, size_t len)
{
    while (len > 0) {
        const char *newline = memchr(bytes, '\n', len);
        size_t piece = newline ? (size_t)(newline - bytes) : len;
        size_t room = LINE_BYTES_MAX - c->line.len;
        bool full = piece > room;
        strbuf_append(&c->line, bytes, full ? room : piece);
        if (newline || full)
            take_line(c);
        size_t used = full ? room : piece + (newline ? 1 : 0);
        bytes += used;
        len -= used;
    }
}

static void on_text_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct exec_child *c = child_of(stream);
    if (n > 0) {
        take_text(c, buf->base, (size_t)n);
    } else if (n < 0) {
        c->text_ended = true;
        uv_read_stop(stream);
        child_close_if_done(c);
    }
}

void exec_child_drain_text(struct exec_child *c)
{
    int fd;
    if (c->text_ended || c->closing || uv_fileno((uv_handle_t *)&c->text, &fd) != 0)
        return;
    /* Bounded: a child that never stops writing must not keep us here. */
    for (int i = 0; i < 16; i++) {
        char buffer[4096];
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n <= 0)
            return; /* nothing there now; the end is left to the loop */
        take_text(c, buffer, (size_t)n);
    }
}

void exec_child_resume(struct exec_child *c)
{
    if (!c->paused || c->closing)
        return;
    c->paused = false;
    take_frames(c);
    if (!c->paused && !c->frames_ended)
        uv_read_start((uv_stream_t *)&c->frames, on_alloc, on_frames_read);
    child_close_if_done(c);
}

/* ---- starting, sending, signalling ---- */

static void on_sample(uv_timer_t *timer)
{
    (void)exec_child_usage(child_of(timer));
}

struct exec_child_usage exec_child_usage(struct exec_child *c)
{
    if (!c->exited) {
        process_info_memory_peak(c->process.pid, &c->usage.memory_peak_bytes);
        process_info_cpu(c->process.pid, &c->usage.cpu_ms);
    }
    return c->usage;
}

static void handles_init(struct exec_child *c)
{
    uv_loop_t *loop = c->options.loop;
    uv_pipe_init(loop, &c->input, 0);
    uv_pipe_init(loop, &c->frames, 0);
    uv_pipe_init(loop, &c->text, 0);
    uv_timer_init(loop, &c->timer);
    c->process.data = c->input.data = c->frames.data = c->text.data = c->timer.data = c;
    c->open_handles = HANDLE_COUNT;
}

static void on_failed_closed(uv_handle_t *handle)
{
    struct exec_child *c = child_of(handle);
    if (--c->open_handles == 0)
        free(c);
}

/* A libuv status. */
static int spawn(struct exec_child *c)
{
    uv_stdio_container_t stdio[] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&c->input},
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&c->text},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&c->frames},
    };
    _Static_assert(EXEC_FD == 3, "the frames are the fourth descriptor");
    char *arguments[16] = {0};
    for (size_t i = 0; c->options.arguments[i]; i++) {
        ASSERT(i + 1 < ARRAY_COUNT(arguments));
        arguments[i] = strdup(c->options.arguments[i]);
    }
    const uv_process_options_t options = {
        .file = c->options.program,
        .args = arguments,
        .cwd = c->options.folder,
        .flags = UV_PROCESS_DETACHED, /* its own session, so that we can signal the whole group */
        .stdio = stdio,
        .stdio_count = (int)ARRAY_COUNT(stdio),
        .exit_cb = on_exit_status,
    };
    const int status = uv_spawn(c->options.loop, &c->process, &options);
    for (size_t i = 0; arguments[i]; i++)
        free(arguments[i]);
    return status;
}

enum err_code exec_child_start(const struct exec_child_options *options, struct exec_child **out,
                               struct err *err)
{
    struct exec_child *c = calloc(1, sizeof *c);
    ASSERT(c);
    c->options = *options;
    c->oom_kills_before = process_info_oom_kills();
    handles_init(c);
    const int status = spawn(c);
    if (status != 0) {
        uv_close((uv_handle_t *)&c->process, on_failed_closed);
        uv_close((uv_handle_t *)&c->input, on_failed_closed);
        uv_close((uv_handle_t *)&c->frames, on_failed_closed);
        uv_close((uv_handle_t *)&c->text, on_failed_closed);
        uv_close((uv_handle_t *)&c->timer, on_failed_closed);
        return err_os(err, -status, "start '%s'", options->program);
    }
    uv_read_start((uv_stream_t *)&c->frames, on_alloc, on_frames_read);
    uv_read_start((uv_stream_t *)&c->text, on_alloc, on_text_read);
    uv_timer_start(&c->timer, on_sample, SAMPLE_MS, SAMPLE_MS);
    *out = c;
    return ERR_OK;
}

struct write_request {
    uv_write_t request;
    char *bytes;
};

static void on_written(uv_write_t *request, int status)
{
    (void)status; /* a child that does not read any more is dying, and its exit tells us */
    struct write_request *w = (struct write_request *)request;
    free(w->bytes);
    free(w);
}

void exec_child_send(struct exec_child *c, const struct exec_frame *frame)
{
    if (c->exited || c->closing)
        return;
    struct strbuf bytes = {0};
    exec_frame_encode(&bytes, frame);
    size_t len = bytes.len;
    struct write_request *w = calloc(1, sizeof *w);
    ASSERT(w);
    w->bytes = strbuf_take(&bytes);
    uv_buf_t buf = uv_buf_init(w->bytes, (unsigned)len);
    int status = uv_write(&w->request, (uv_stream_t *)&c->input, &buf, 1, on_written);
    if (status != 0)
        on_written(&w->request, status);
}

void exec_child_signal(struct exec_child *c, int signal_number)
{
    if (c->exited)
        return; /* the number may be another process's by now */
    c->killed_by_us = true;
    kill(-c->process.pid, signal_number);
}
