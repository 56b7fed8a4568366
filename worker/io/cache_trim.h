/* Keeping the blob cache (proto/net/blob_cache.h) within its size: least recently used first. */
#ifndef TRIAD_CACHE_TRIM_H
#define TRIAD_CACHE_TRIM_H

#include <stdint.h>

/* Say that the blob at `path` is used now. */
void cache_touch(const char *path);
/* Remove the blobs used longest ago until at most `bytes_max` are left. Those that have a second
 * name, in a work folder or in a store on the same disk, neither count nor go: they would give
 * nothing back. None goes that was used since `keep_since_s` (seconds of the epoch): somebody may
 * be about to open it. */
void cache_trim(const char *folder, uint64_t bytes_max, int64_t keep_since_s);

#endif
