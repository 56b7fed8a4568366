/* The content-addressed store of blobs: STATE/blobs/ab/cdef…, named by BLAKE2b-256 (its layout is
 * proto/blob_folder.h's). A blob is there whole, verified and durable, or not at all; what is
 * arriving lies in STATE/blobs/partial/ or, put there by somebody who sees the folder, in
 * STATE/blobs/incoming/. */
#ifndef TRIAD_ARTIFACTS_H
#define TRIAD_ARTIFACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "hash.h"

/* Partial files kept open; of more, those longest unused are closed for a while. */
#define ARTIFACTS_OPEN_MAX 64
/* Partial blobs whose running digest is known, half a kilobyte each: as many as workers may bring
 * something at once. Of more, those longest unused are read again when they go on. */
#define ARTIFACTS_PARTIAL_MAX 4096

struct artifacts;

/* Make or open the folder `dir`/blobs. */
NODISCARD enum err_code artifacts_open(const char *dir, struct artifacts **out, struct err *err);
void artifacts_free(struct artifacts *artifacts);
/* What the folder's `token` holds; none: it could not be given one. */
struct digest artifacts_token(const struct artifacts *artifacts);

/* Bytes of a blob, -1 when it is not here. Asking makes it young for artifacts_sweep(). */
int64_t artifacts_size(const struct artifacts *artifacts, const struct digest *digest);
/* Is it here and, if it is a tree, are all its files? */
bool artifacts_has_tree(const struct artifacts *artifacts, const struct digest *digest);

/* Read at most `bytes_max` from `offset`. ERR_NOT_FOUND; ERR_INVALID past the end. */
NODISCARD enum err_code artifacts_read(const struct artifacts *artifacts,
                                       const struct digest *digest, uint64_t offset, void *bytes,
                                       size_t bytes_max, size_t *len_out, uint64_t *total_out,
                                       struct err *err);

struct artifacts_naming; /* a blob whose bytes are all here and right; it has no name yet */

struct artifacts_progress {
    uint64_t next; /* the first byte that is not here */
    bool complete; /* verified, durable, readable */
    /* With the last piece: the caller lets it run and ends it. Until then the blob is neither
     * complete nor to be written. */
    struct artifacts_naming *naming;
};
/* Make a blob durable and give it its name: takes as long as the disk does, and may run on a thread
 * beside all other calls. On ERR_IO it is to be written again, or from where it was. */
NODISCARD enum err_code artifacts_naming_run(struct artifacts_naming *naming, struct err *err);
void artifacts_naming_end(struct artifacts *artifacts, struct artifacts_naming *naming);
/* One piece of a blob of `total` bytes. A piece that is not the next is ignored; *out says which
 * is. ERR_CORRUPT when the whole does not match its digest (it is thrown away), ERR_INVALID for a
 * piece past the end, ERR_LIMIT, ERR_IO (a full disk: what was there before stays). */
NODISCARD enum err_code artifacts_write(struct artifacts *artifacts, const struct digest *digest,
                                        uint64_t offset, uint64_t total, const void *bytes,
                                        size_t len, struct artifacts_progress *out,
                                        struct err *err);

/* ---- what others put into `incoming` (artifacts_place.c) ---- */

struct artifacts_placed {
    struct digest digest;
    uint64_t size, nonce;
    _Atomic uint64_t verified; /* bytes hashed so far; read by other threads */
    _Atomic bool stop;         /* set by other threads: give up */
};
/* Read all of it and fsync it: takes long, changes nothing, and may run on a thread beside all
 * other calls. ERR_NOT_FOUND; ERR_CORRUPT when it is not that blob; ERR_CANCELLED. */
NODISCARD enum err_code artifacts_verify_placed(const struct artifacts *artifacts,
                                                struct artifacts_placed *placed, struct err *err);
/* What will have been verified gets its name with artifacts_naming_run(). */
struct artifacts_naming *artifacts_name_placed(struct artifacts *artifacts,
                                               const struct artifacts_placed *placed);
void artifacts_drop_placed(struct artifacts *artifacts, const struct artifacts_placed *placed);

/* ---- sweeping (artifacts_sweep.c) ---- */

/* The files that a tree lists, in `arena`; none when the blob is no tree or not here. */
void artifacts_tree_files(const struct artifacts *artifacts, const struct digest *tree,
                          struct arena *arena, struct digest **files_out, size_t *count_out);

/* Folders to sweep, one call each: 256 of blobs, and `partial` and `incoming`. */
#define ARTIFACTS_SWEEP_BLOBS   256
#define ARTIFACTS_SWEEP_FOLDERS 258

struct artifacts_sweep {
    bool (*is_needed)(void *ctx, const struct digest *digest);
    void *ctx;
    int64_t age_s; /* nothing younger is garbage */
    bool apply;    /* remove the garbage */
    /* Counted so far: */
    uint64_t kept, kept_bytes, young, young_bytes, garbage, garbage_bytes;
};
/* Look at one folder, from 0. ERR_IO when something cannot be removed. */
NODISCARD enum err_code artifacts_sweep(struct artifacts *artifacts, unsigned folder,
                                        struct artifacts_sweep *sweep, struct err *err);
/* STATE/blobs. Borrowed. */
const char *artifacts_folder(const struct artifacts *artifacts);

#endif
