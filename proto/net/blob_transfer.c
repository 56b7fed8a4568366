#include "blob_transfer.h"

#include <stdlib.h>

#include "blob_cache.h"
#include "check.h"

struct blob_transfer *blob_transfer_new(unsigned what, const struct digest *digest,
                                        blob_done_f *done, void *ctx)
{
    struct blob_transfer *transfer = calloc(1, sizeof *transfer);
    ASSERT(transfer != NULL);
    ASSERT(done != NULL);
    transfer->is_put = (what & BLOB_PUT) != 0;
    transfer->is_tree = (what & BLOB_TREE) != 0;
    transfer->digest = *digest;
    transfer->done = done;
    transfer->ctx = ctx;
    return transfer;
}

void blob_transfer_free(struct blob_transfer *transfer)
{
    arena_release(&transfer->arena);
    free(transfer);
}

/* A blob of the cache. */
static struct blob_item item_of(struct blob_transfer *transfer, const char *cache,
                                const struct digest *digest)
{
    return (struct blob_item){*digest, blob_cache_path(cache, digest, &transfer->arena)};
}

enum err_code blob_transfer_list(struct blob_transfer *transfer, const char *cache, struct err *err)
{
    if (transfer->is_tree && transfer->is_put)
        return blob_transfer_list_tree(transfer, cache, err);
    transfer->items = arena_alloc(&transfer->arena, sizeof *transfer->items);
    transfer->items[0] = item_of(transfer, cache, &transfer->digest);
    if (transfer->path)
        transfer->items[0].path = transfer->path;
    transfer->item_count = 1;
    return ERR_OK;
}

enum err_code blob_transfer_list_tree(struct blob_transfer *transfer, const char *cache,
                                      struct err *err)
{
    struct tree tree;
    enum err_code rc = blob_cache_read_tree(cache, &transfer->digest, &tree, err);
    if (rc != ERR_OK)
        return rc;
    const size_t first_file = transfer->is_put ? 0 : 1;
    const size_t itself = transfer->is_put ? tree.file_count : 0;
    transfer->item_count = tree.file_count + 1;
    transfer->items = arena_array(&transfer->arena, transfer->item_count, sizeof *transfer->items);
    for (size_t i = 0; i < tree.file_count; i++)
        transfer->items[first_file + i] = item_of(transfer, cache, &tree.files[i].digest);
    transfer->items[itself] = item_of(transfer, cache, &transfer->digest);
    tree_release(&tree);
    return ERR_OK;
}
