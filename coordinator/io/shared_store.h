/* Where a coordinator's blobs lie: in its state folder, or (`--shared-store DIR`) on a file system
 * that workers see too. The choice is written down in STATE/shared-store, so that it is made once,
 * and a store that is missing is an error and never an empty one. */
#ifndef TRIAD_SHARED_STORE_H
#define TRIAD_SHARED_STORE_H

#include "err.h"
#include "hash.h"

/* The folder whose `blobs` is the store: `state_dir` or DIR; `wish` is the option, or NULL.
 * ERR_CONFLICT: DIR is another coordinator's, or blobs lie in `state_dir` already (the text says
 * how to move them); ERR_NOT_FOUND: the one written down is not there. The caller frees *out. */
NODISCARD enum err_code shared_store_find(const char *state_dir, const char *wish, char **out,
                                          struct err *err);
/* The store was opened and has this token: note that DIR is ours. Nothing for `state_dir` itself.
 */
NODISCARD enum err_code shared_store_claim(const char *state_dir, const char *dir,
                                           const struct digest *token, struct err *err);

#endif
