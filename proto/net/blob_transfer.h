/* What one call of blob_client.h asked for: the blobs to move, one after another. Private to
 * blob_client. */
#ifndef TRIAD_BLOB_TRANSFER_H
#define TRIAD_BLOB_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "blob_client.h"
#include "err.h"
#include "hash.h"

/* A blob to move; `path` is where a put reads it from. */
struct blob_item {
    struct digest digest;
    const char *path;
};

enum blob_direction { BLOB_GET = 0, BLOB_PUT = 1, BLOB_TREE = 2 /* may be added to either */ };

struct blob_transfer {
    struct blob_transfer *next;
    struct arena arena; /* owns the items */
    struct blob_item *items;
    size_t item_count;
    size_t item_index;
    bool is_put;
    bool is_tree;
    struct digest digest;
    const char *path; /* of a file outside the cache; NULL: the cache's blob */
    blob_done_f *done;
    void *ctx;
};

/* `what` is a direction, with BLOB_TREE or without. Free with blob_transfer_free(). */
struct blob_transfer *blob_transfer_new(unsigned what, const struct digest *digest,
                                        blob_done_f *done, void *ctx);
void blob_transfer_free(struct blob_transfer *transfer);

/* Find the first items: all of them, except that a tree's files are unknown before it came. */
NODISCARD enum err_code blob_transfer_list(struct blob_transfer *transfer, const char *cache,
                                           struct err *err);
/* The items of a tree that is in the cache: its files, which a put sends before it and a get
 * fetches after it. */
NODISCARD enum err_code blob_transfer_list_tree(struct blob_transfer *transfer, const char *cache,
                                                struct err *err);

#endif
