/* Which workers serve their cache to others, and which blobs each holds, as they say themselves:
 * hints that cost the asker a round trip when they are wrong. Also what every worker moved, for
 * people. Nothing here is stored and nothing is decided on it: after a restart it is told again.
 * Pure: no clock, no sockets.
 *
 * Bounds: WORKERS_MAX workers; BLOB_PEERS_HOLDINGS_MAX blobs with BLOB_PEERS_HOLDERS_MAX holders
 * each (about 13 MB), beyond which the blob heard of longest ago is forgotten. */
#ifndef TRIAD_BLOB_PEERS_H
#define TRIAD_BLOB_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "bounds.h"
#include "vocab.h"

#define BLOB_PEERS_HOLDINGS_MAX 65536
#define BLOB_PEERS_HOLDERS_MAX  16

struct blob_peers;

/* `salt` is random: digests come from workers, who must not be able to choose them so that the
 * tables become slow. */
struct blob_peers *blob_peers_new(const struct digest *salt);
void blob_peers_free(struct blob_peers *peers); /* accepts NULL */

/* A worker told of itself on the connection `from`, with the key of `user`. A new connection of a
 * worker of that name and key replaces its former one. */
void blob_peers_hello(struct blob_peers *peers, uint64_t from, const char *user,
                      const struct msg_data_hello *hello, int64_t now_ms, int64_t time_ms);
/* It holds these blobs; ignored from connections that said no hello or serve nobody. */
void blob_peers_held(struct blob_peers *peers, uint64_t from, const struct digest *digests,
                     size_t count);

/* Others that hold the blob and were heard of within DATA_SILENCE_MS, those named least often
 * first; returns how many. Texts are borrowed until the next hello. */
size_t blob_peers_where(struct blob_peers *peers, uint64_t from, const struct digest *digest,
                        int64_t now_ms, struct blob_source out[BLOB_SOURCES_MAX]);

/* `from` found wrong bytes in what the worker with that server key sent. Returns its name, or NULL
 * when there is none or it was accused by the same one before. Two accusers of different names, and
 * it is named to nobody any more. */
const char *blob_peers_accuse(struct blob_peers *peers, uint64_t from,
                              const struct digest *server_key);

/* Forget those whose key is not allowed any more. */
void blob_peers_keep(struct blob_peers *peers, bool (*is_allowed)(void *ctx, const char *user),
                     void *ctx);
/* Connections of those that serve; returns how many. */
size_t blob_peers_serving(const struct blob_peers *peers, int64_t now_ms, uint64_t *out,
                          size_t out_max);
/* Rows by name, from the first after `after`; returns how many, at most `rows_max`; *more tells
 * whether others follow. Copies belong to the arena. */
size_t blob_peers_rows(const struct blob_peers *peers, const char *after, struct traffic_row *rows,
                       size_t rows_max, struct arena *arena, bool *more);

#endif
