/* Blocking requests for the command line: a loop of its own, one control and one data connection.
 */
#ifndef TRIAD_CLIENT_CALL_H
#define TRIAD_CLIENT_CALL_H

#include "arena.h"
#include "err.h"
#include "hash.h"
#include "net_keys.h"
#include "vocab.h"

#define CLIENT_TIMEOUT_MS 5000

struct client;

/* Connect as `access` says (borrowed during the call). `cache` is the folder for blobs that travel
 * (blob_cache.h); NULL when none will. Does not wait for the connection. */
NODISCARD enum err_code client_open(const struct net_access *access, const char *cache,
                                    struct client **out, struct err *err);
void client_close(struct client *client);

/* Send a request and wait for its reply, which belongs to `arena`. The request id is filled in
 * here. Unanswered requests are repeated every 2 s: all are idempotent. An ERROR reply becomes its
 * code and text. ERR_UNAVAILABLE: no answer in `timeout_ms` (0: CLIENT_TIMEOUT_MS); ERR_DENIED: the
 * coordinator refused our key; ERR_CORRUPT: the reply cannot be read. */
NODISCARD enum err_code client_call(struct client *client, const struct msg *request,
                                    int timeout_ms, struct arena *arena, struct msg *reply_out,
                                    struct err *err);

/* Wait for transfers, as blob_client.h describes them. */
NODISCARD enum err_code client_get_tree(struct client *client, const struct digest *digest,
                                        struct err *err);
NODISCARD enum err_code client_put_file(struct client *client, const struct digest *digest,
                                        const char *path, struct err *err);

#endif
