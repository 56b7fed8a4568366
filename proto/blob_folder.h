/* How the coordinator's blobs lie on disk, for those who see the same folder: a shared file system,
 * or the same machine. Then blobs need not travel:
 *
 *   FOLDER/ab/cdef…            a blob, whole, verified and durable, under its digest; read-only
 *   FOLDER/incoming/HEX.NONCE  put there by who made it; the coordinator verifies it and names it
 *   FOLDER/partial/…           what arrives over the socket (coordinator/artifacts)
 *   FOLDER/token               random: that both read the same one proves that it is one folder
 *
 * All functions block; they run on threads. */
#ifndef TRIAD_BLOB_FOLDER_H
#define TRIAD_BLOB_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "hash.h"

/* Paths; they belong to the arena. */
char *blob_folder_path(const char *folder, const struct digest *digest, struct arena *arena);
char *blob_folder_incoming(const char *folder, const struct digest *digest, uint64_t nonce,
                           struct arena *arena);

/* Read the folder's token; ERR_NOT_FOUND when it has none, ERR_INVALID when it is none. */
NODISCARD enum err_code blob_folder_token(const char *folder, struct digest *out, struct err *err);
/* Give the folder a new token, or read the one it has. */
NODISCARD enum err_code blob_folder_token_make(const char *folder, struct digest *out,
                                               struct err *err);

/* STATE/shared-store: the blobs of that state lie in *dir_out/blobs, whose token is given; NULL:
 * there is no such file, they lie in the state. The text belongs to the arena. */
NODISCARD enum err_code blob_folder_noted(const char *state_dir, struct arena *arena,
                                          const char **dir_out, struct digest *token,
                                          struct err *err);
NODISCARD enum err_code blob_folder_note(const char *state_dir, const char *dir,
                                         const struct digest *token, struct err *err);

/* Bring a blob of the folder into `to` (a new file in a cache): with `may_link` linked where both
 * lie on one file system, copied otherwise; then hashed. Link only what nobody will write to: a
 * file that a person may edit must not be the store's, nor the store's become a person's.
 * ERR_CORRUPT when it is not the digest's, ERR_NOT_FOUND. */
NODISCARD enum err_code blob_folder_take(const char *folder, const struct digest *digest,
                                         const char *to, bool may_link, struct err *err);
/* Put the file `from`, whose content has that digest, into the folder's `incoming`, durably. */
NODISCARD enum err_code blob_folder_place(const char *folder, const struct digest *digest,
                                          uint64_t nonce, const char *from, bool may_link,
                                          struct err *err);

/* A second name for a file, or a durable copy where links cannot reach; one that is there stays. */
NODISCARD enum err_code blob_link_or_copy(const char *from, const char *to, struct err *err);

#define BLOB_MODE 0444 /* a link in somebody's folder must not be a way to change the blob */

#endif
