/* Keeping the blob cache (proto/net/blob_cache.h) within its size: least recently used first. */
#ifndef TRIAD_CACHE_TRIM_H
#define TRIAD_CACHE_TRIM_H

#include <stddef.h>
#include <stdint.h>

#include "hash.h"

/* Say that the blob at `path` is used now. */
void cache_touch(const char *path);
/* Remove the blobs used longest ago until at most `bytes_max` are left. Those that have a second
 * name, in a work folder or in a store on the same disk, neither count nor go: they would give
 * nothing back. None goes that was used since `keep_since_s` (seconds of the epoch): somebody may
 * be about to open it. */
void cache_trim(const char *folder, uint64_t bytes_max, int64_t keep_since_s);
/* Remove a tree and its files, but for those that one of the trees `kept` names, too. */
void cache_drop_tree(const char *folder, const struct digest *tree, const struct digest *kept,
                     size_t kept_count);

#endif
