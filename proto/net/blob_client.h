/* Moves blobs and trees between a local cache and the coordinator's store (docs/protocol.md section
 * 5), driven by the loop. One transfer at a time, in the order asked for; each keeps
 * BLOB_CHUNKS_IN_FLIGHT chunks in flight, resumes after a reconnection where it stopped, and
 * verifies digests before a blob gets its name.
 *
 * Bytes take the shortest way there is: a link or a copy where the store's folder is in sight;
 * other workers that hold the blob; the coordinator's data socket. A way that breaks off is left
 * for the next one, which goes on at the same byte. What is put is durable at the coordinator in
 * any case: it alone acknowledges. */
#ifndef TRIAD_BLOB_CLIENT_H
#define TRIAD_BLOB_CLIENT_H

#include <stdint.h>

#include "err.h"
#include "hash.h"
#include "net.h"

struct blob_client;
struct blob_serve;

struct blob_client_options { /* all borrowed during the call */
    struct net *net;
    uv_loop_t *loop;
    const char *endpoint; /* data socket */
    const struct net_public_key *server;
    const struct net_key_pair *own;
    const char *cache;   /* folder (blob_cache.h); made if missing */
    int64_t patience_ms; /* fail with ERR_UNAVAILABLE after this long without progress; 0: 60 s */
    const char *worker;  /* our name; NULL: a client, which asks no other worker */
    struct blob_serve *serve; /* our cache as others may read it; NULL: they may not */
    const char *store_folder; /* where we see the coordinator's blobs; NULL: where it says */
};

/* Bytes that came in, by where from. */
struct blob_traffic {
    uint64_t coordinator_bytes, peer_bytes, shared_bytes;
};
NODISCARD enum err_code blob_client_new(const struct blob_client_options *options,
                                        struct blob_client **out, struct err *err);
/* Drop all transfers without calling back, and close the socket. Before net_free(). */
void blob_client_free(struct blob_client *client);

/* Called once per transfer, never from inside the call that asked for it. `err` is meaningful when
 * `code` is not ERR_OK: ERR_NOT_FOUND (the store has no such blob), ERR_CORRUPT (bytes do not match
 * their digest), ERR_UNAVAILABLE (no progress for `patience_ms`; trying again may help), ERR_IO. */
typedef void blob_done_f(void *ctx, enum err_code code, const struct err *err);

/* Bring a blob into the cache; done at once when it is there. */
void blob_client_get(struct blob_client *client, const struct digest *digest, blob_done_f *done,
                     void *ctx);
/* Bring a tree and every file it names into the cache. */
void blob_client_get_tree(struct blob_client *client, const struct digest *digest,
                          blob_done_f *done, void *ctx);
/* Make a file, which must have that digest and not change meanwhile, a durable blob of the store;
 * nothing is sent when the store has it. */
void blob_client_put_file(struct blob_client *client, const struct digest *digest, const char *path,
                          blob_done_f *done, void *ctx);
/* Make a tree and its files durable in the store: files first, the tree last. */
void blob_client_put_tree(struct blob_client *client, const struct digest *digest,
                          blob_done_f *done, void *ctx);

struct blob_traffic blob_client_traffic(const struct blob_client *client);

/* Forget the transfers asked for with this `ctx`; they do not call back. */
void blob_client_cancel(struct blob_client *client, const void *ctx);

#endif
