/* Keeping the blob cache (proto/net/blob_cache.h) within its size: least recently used first. */
#ifndef TRIAD_CACHE_TRIM_H
#define TRIAD_CACHE_TRIM_H

#include <stdint.h>

/* Say that the blob at `path` is used now. */
void cache_touch(const char *path);
/* Remove the blobs used longest ago until at most `bytes_max` are left, but none that is linked
 * into a work folder, and none used since `keep_since_s` (seconds of the epoch): somebody may be
 * about to open it. */
void cache_trim(const char *folder, uint64_t bytes_max, int64_t keep_since_s);

#endif
