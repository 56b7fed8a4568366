/* Digests of large files, remembered between commands: hashing a checkpoint of 20 GB takes half a
 * minute, and every plan asks for it. A file is taken for the same while device, inode, size and
 * the times of its last change are. */
#ifndef TRIAD_DIGEST_CACHE_H
#define TRIAD_DIGEST_CACHE_H

#include "reader.h"

struct digest_cache {
    const char *path; /* STATE/cache/digests: a line per file; borrowed */
    struct reader disk;
};

/* A reader of this machine's files whose digests come from the cache where they can. The cache must
 * outlive it. What cannot be remembered is computed. */
struct reader digest_cache_reader(struct digest_cache *cache, const char *path);

#endif
