/* A child process that misbehaves as its first argument says. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec_protocol.h"

static void put_frame(const struct exec_frame *frame)
{
    struct strbuf bytes = {0};
    exec_frame_encode(&bytes, frame);
    if (write(EXEC_FD, bytes.data, bytes.len) < 0)
        _exit(9);
    strbuf_release(&bytes);
}

static void put_batches(int count)
{
    for (int i = 0; i < count; i++) {
        char text[32];
        int len = snprintf(text, sizeof text, "batch %d", i);
        put_frame(&(struct exec_frame){
            .kind = EXEC_BATCH,
            .batch = {STREAM_LOG, {(const uint8_t *)text, (size_t)len}},
        });
    }
}

static void be_silent_forever(void)
{
    signal(SIGTERM, SIG_IGN);
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";
    if (strcmp(how, "crash") == 0) {
        fprintf(stderr, "about to fail\nlast words");
        fflush(stderr);
        abort();
    } else if (strcmp(how, "quit") == 0) {
        return 7;
    } else if (strcmp(how, "frames") == 0) {
        put_frame(&(struct exec_frame){.kind = EXEC_RUNNING});
        put_batches(100);
    } else if (strcmp(how, "garbage") == 0) {
        if (write(EXEC_FD, "this is no frame at all", 23) < 0)
            return 9;
        be_silent_forever();
    } else if (strcmp(how, "hang") == 0) {
        fprintf(stderr, "hanging\n");
        be_silent_forever();
    } else if (strcmp(how, "flood") == 0) {
        for (int i = 0; i < 300000; i++)
            fprintf(stderr, "line %d of far too many\n", i);
    } else if (strcmp(how, "grandchild") == 0) {
        pid_t pid = fork(); /* it keeps our pipes open */
        if (pid == 0)
            be_silent_forever();
        fprintf(stderr, "%d\n", (int)pid);
    } else if (strcmp(how, "echo") == 0) {
        char buffer[65536];
        ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);
        fprintf(stderr, "got %zd bytes\n", n);
    }
    return 0;
}
