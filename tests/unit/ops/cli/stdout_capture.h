/* What a function prints on stdout, as text. */
#ifndef TRIAD_STDOUT_CAPTURE_H
#define TRIAD_STDOUT_CAPTURE_H

struct stdout_capture {
    int saved_fd;
    char *path; /* of the temporary file */
};

void stdout_capture_begin(struct stdout_capture *capture);
/* Give stdout back; the caller frees the text. */
char *stdout_capture_end(struct stdout_capture *capture);

#endif
