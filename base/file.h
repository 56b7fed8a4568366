/* Files: read whole, write durably, walk and make folders. */
#ifndef TRIAD_FILE_H
#define TRIAD_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

/* Read a whole file of at most `bytes_max` (0: no limit) into memory that the caller free()s; a NUL
 * follows the last byte. ERR_LIMIT when larger, ERR_NOT_FOUND when it does not exist. */
NODISCARD enum err_code file_read(const char *path, size_t bytes_max, char **data_out,
                                  size_t *len_out, struct err *err);
/* The same from an open descriptor, which stays open; `name` is for errors. */
NODISCARD enum err_code file_read_open(int fd, const char *name, size_t bytes_max, char **data_out,
                                       size_t *len_out, struct err *err);
/* Replace a file so that a crash leaves the old or the new content, never a mixture:
 * write a temporary neighbour, fsync, rename, fsync the folder. `mode` as for open(2). */
NODISCARD enum err_code file_write_atomic(const char *path, const void *data, size_t len,
                                          unsigned mode, struct err *err);
/* The same in steps, for content that does not fit memory: begin, write to `fd`, end. The end gives
 * the file its name durably, unless `written` says that writing failed: then it drops the file and
 * returns that code. `path` is borrowed until then. */
struct file_replacement {
    const char *path;
    int fd;
    char temporary[4096];
};
NODISCARD enum err_code file_replace_begin(const char *path, struct file_replacement *out,
                                           struct err *err);
NODISCARD enum err_code file_replace_end(struct file_replacement *replacement, unsigned mode,
                                         enum err_code written, struct err *err);
/* write(2) until all is written; `path` is for the error. */
NODISCARD enum err_code file_write_all(int fd, const void *data, size_t len, const char *path,
                                       struct err *err);
/* Copy a file of any size durably, replacing `to`: as a reflink, which takes no room, where the
 * file system has them. */
NODISCARD enum err_code file_copy(const char *from, const char *to, unsigned mode, struct err *err);
/* Word why `path` could not be made: ERR_NOT_FOUND when the folder above is missing, else ERR_IO.
 */
enum err_code file_create_failed(const char *path, int os_errno, struct err *err);
/* mkdir -p; existing folders are fine. */
NODISCARD enum err_code file_mkdirs(const char *path, unsigned mode, struct err *err);
/* Make a file's bytes and length durable; ERR_NOT_FOUND. An error that the kernel met earlier, when
 * it wrote the file by itself, is told to the first who syncs it (fsync(2), Linux 4.13 and later).
 */
NODISCARD enum err_code file_sync(const char *path, struct err *err);
/* fsync a folder, so that a rename in it survives a power cut. */
NODISCARD enum err_code file_sync_dir(const char *path, struct err *err);
bool file_exists(const char *path);
bool file_is_folder(const char *path);
/* Remove a folder with all it holds (does not follow symbolic links); missing is fine. */
NODISCARD enum err_code file_remove_tree(const char *path, struct err *err);

/* First thing in main(): a standard stream that was closed (`>&-`) is opened so that its use fails,
 * or the next file to be opened would become it, and what is printed would land in that file. */
void file_hold_standard_streams(void);

/* May `name` become one path component below a folder of ours? Refuses "", ".", "..", slashes,
 * control bytes and more than 255 bytes: every name from a message or archive goes through this. */
bool file_name_is_safe(const char *name);

#endif
