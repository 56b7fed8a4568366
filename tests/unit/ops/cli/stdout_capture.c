#include "stdout_capture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "file.h"

void stdout_capture_begin(struct stdout_capture *capture)
{
    char path[] = "/tmp/triad-stdout-XXXXXX";
    fflush(stdout);
    const int fd = mkstemp(path);
    ASSERT(fd >= 0);
    capture->path = strdup(path);
    capture->saved_fd = dup(STDOUT_FILENO);
    ASSERT(capture->path && capture->saved_fd >= 0);
    dup2(fd, STDOUT_FILENO);
    close(fd);
}

char *stdout_capture_end(struct stdout_capture *capture)
{
    char *text = NULL;
    size_t len = 0;
    struct err err;
    fflush(stdout);
    dup2(capture->saved_fd, STDOUT_FILENO);
    close(capture->saved_fd);
    ASSERT(file_read(capture->path, 0, &text, &len, &err) == ERR_OK);
    unlink(capture->path);
    free(capture->path);
    return text;
}
