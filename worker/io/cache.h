/* Blobs and trees near at hand: FOLDER/<digest> is a blob's file or a tree's folder,
 * FOLDER/<digest>.tree the list that names that folder. Entries appear under their digest only
 * when complete; "<digest>.part…" are downloads under way, removed when the cache is opened. */
#ifndef TRIAD_CACHE_H
#define TRIAD_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "hash.h"
#include "str.h"
#include "tree.h"

struct cache {
    char *folder;
    uint64_t bytes_max; /* what cache_trim() keeps at most, as far as it may */
};

NODISCARD enum err_code cache_open(const char *folder, uint64_t bytes_max, struct cache *out,
                                   struct err *err);
void cache_close(struct cache *cache);

/* Where an entry lies or would lie; the caller frees the text. `suffix` may be "". */
char *cache_path(const struct cache *cache, const struct digest *digest, const char *suffix);
/* Is it there? Marks it as used now. */
bool cache_has(const struct cache *cache, const struct digest *digest);

/* Move a folder into the cache as a tree. What takes long (hashing) is tree_of_folder(), which the
 * caller does before, on a thread of its own. The same tree may be there already. */
NODISCARD enum err_code cache_adopt(const struct cache *cache, const char *folder,
                                    const struct tree *tree, struct digest *digest_out,
                                    struct err *err);
/* Read a tree's list. */
NODISCARD enum err_code cache_read_tree(const struct cache *cache, const struct digest *digest,
                                        struct tree *out, struct err *err);

/* Remove what was used longest ago until the limit is kept, but nothing used since
 * `keep_since_s` (seconds of the epoch): running attempts may have it open. */
void cache_trim(const struct cache *cache, int64_t keep_since_s);

#endif
