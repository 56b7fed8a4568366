/* A folder of blobs, each under its digest: what is in it was verified when it came in and is
 * read-only. Several processes may share one; all functions block and may run on any thread. */
#ifndef TRIAD_BLOB_CACHE_H
#define TRIAD_BLOB_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "err.h"
#include "hash.h"
#include "tree.h"

/* "FOLDER/<64 hex digits>"; belongs to the arena. */
char *blob_cache_path(const char *cache, const struct digest *digest, struct arena *arena);
bool blob_cache_has(const char *cache, const struct digest *digest);

/* Make the folder if it is missing, and remove what downloads left behind: parts (blob_part.h) that
 * nobody goes on with any more. */
NODISCARD enum err_code blob_cache_open(const char *cache, struct err *err);

NODISCARD enum err_code blob_cache_add_bytes(const char *cache, const void *bytes, size_t len,
                                             struct digest *digest_out, struct err *err);
/* Add all files of a folder and the tree that names them. */
NODISCARD enum err_code blob_cache_add_folder(const char *cache, const char *folder,
                                              struct digest *tree_out, struct err *err);

/* Read the tree `digest`. ERR_NOT_FOUND when it is not here, ERR_INVALID when the blob is not a
 * tree. Free with tree_release(). */
NODISCARD enum err_code blob_cache_read_tree(const char *cache, const struct digest *digest,
                                             struct tree *out, struct err *err);
/* Make `folder` hold exactly the files of a complete tree, as read-only links (or copies). The
 * folder appears all at once; one that is already there is an ERR_CONFLICT. */
NODISCARD enum err_code blob_cache_make_folder(const char *cache, const struct digest *digest,
                                               const char *folder, struct err *err);

#endif
