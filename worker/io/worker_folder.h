/* A worker's folder on disk: who it is, and the lock that makes it one process. */
#ifndef TRIAD_WORKER_FOLDER_H
#define TRIAD_WORKER_FOLDER_H

#include "err.h"

struct worker_folder {
    char *path;
    int lock_fd;
};

/* Make the folder and its parts (spool, cache, attempts) and lock it; what is left in `attempts`
 * belonged to children of a former process and is removed. The folder remembers its worker's name:
 * another name is ERR_INVALID. ERR_CONFLICT when another process has it (the text names that
 * process). */
NODISCARD enum err_code worker_folder_open(const char *path, const char *name,
                                           struct worker_folder *out, struct err *err);
void worker_folder_close(struct worker_folder *folder);

/* "FOLDER/part"; the caller frees it. */
char *worker_folder_path(const struct worker_folder *folder, const char *part);

#endif
