/* Which files a plan was made from: what somebody must copy to make it again on a machine without
 * internet (`triad plan --files`). */
#ifndef TRIAD_FILES_READ_H
#define TRIAD_FILES_READ_H

#include "arena.h"
#include "reader.h"

struct files_read {
    struct reader inner;
    struct arena *arena; /* owns the paths */
    const char **paths;  /* absolute, in no order, some twice, until files_read_sort() */
    size_t count, capacity;
};

/* A reader that notes what `inner` reads with success. `files` must outlive it. */
struct reader files_read_reader(struct files_read *files, struct reader inner, struct arena *arena);
/* Note a file that something else read; ignored when it is not there. */
void files_read_note(struct files_read *files, const char *path);
/* Sorted, each once. */
void files_read_sort(struct files_read *files);

#endif
