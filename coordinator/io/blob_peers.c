#include "blob_peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "check.h"
#include "digest_map.h"

#define ACCUSERS_MAX 2

struct peer {
    uint64_t from; /* connection; 0: forgotten */
    char worker[NAME_BYTES_MAX + 1];
    char user[NAME_BYTES_MAX + 1];
    char endpoint[NAME_BYTES_MAX + 1]; /* empty: it serves nobody */
    struct digest server_key;
    uint32_t life; /* another one: what was noted of its blobs is void */
    uint64_t blobs_held;
    uint64_t named; /* as the first to ask */
    uint64_t accusations;
    struct digest accusers[ACCUSERS_MAX]; /* digests of their names */
    size_t accuser_count;
    struct msg_data_hello told; /* its numbers */
    int64_t seen_ms;            /* monotonic */
    int64_t seen_time_ms;       /* wall clock */
};

struct holder {
    uint32_t peer, life;
};

struct holding {
    struct digest place; /* place_of() its digest */
    struct holder holders[BLOB_PEERS_HOLDERS_MAX];
    uint32_t count, next; /* newest replace oldest */
};

struct blob_peers {
    struct digest salt;
    struct peer **list; /* places are kept, so that holders can name them */
    size_t count;
    struct digest_map by_connection; /* number → struct peer */
    struct digest_map by_digest;     /* → struct holding */
    struct holding **ring;           /* all holdings, oldest replaced first */
    size_t ring_count, ring_next;
};

/* Where a blob stands in the table. */
static struct digest place_of(const struct blob_peers *peers, const struct digest *digest)
{
    const struct digest both[2] = {peers->salt, *digest};
    return hash_bytes(both, sizeof both);
}

struct blob_peers *blob_peers_new(const struct digest *salt)
{
    struct blob_peers *peers = calloc(1, sizeof *peers);
    ASSERT(peers != NULL);
    peers->salt = *salt;
    return peers;
}

void blob_peers_free(struct blob_peers *peers)
{
    if (peers == NULL) {
        return;
    }
    for (size_t i = 0; i < peers->count; i++) {
        free(peers->list[i]);
    }
    for (size_t i = 0; i < peers->ring_count; i++) {
        free(peers->ring[i]);
    }
    free(peers->list);
    free(peers->ring);
    digest_map_release(&peers->by_connection);
    digest_map_release(&peers->by_digest);
    free(peers);
}

/* ---- workers ---- */

static struct peer *find(const struct blob_peers *peers, uint64_t from)
{
    const struct digest key = digest_of_number(from);
    return digest_map_get(&peers->by_connection, &key);
}

static void disconnect(struct blob_peers *peers, struct peer *peer)
{
    if (peer->from != 0) {
        const struct digest key = digest_of_number(peer->from);
        digest_map_remove(&peers->by_connection, &key);
    }
    peer->from = 0;
}

static void forget_blobs(struct peer *peer)
{
    peer->life++;
    peer->blobs_held = 0;
}

/* Its former place, a new one, or that of the one longest unheard of. */
static struct peer *place_for(struct blob_peers *peers, const char *worker, const char *user)
{
    struct peer *oldest = NULL;
    for (size_t i = 0; i < peers->count; i++) {
        struct peer *peer = peers->list[i];
        if (strcmp(peer->worker, worker) == 0 && strcmp(peer->user, user) == 0) {
            return peer;
        }
        oldest = oldest == NULL || peer->seen_ms < oldest->seen_ms ? peer : oldest;
    }
    if (peers->count < WORKERS_MAX) {
        struct peer **grown = realloc(peers->list, (peers->count + 1) * sizeof(struct peer *));
        ASSERT(grown != NULL);
        peers->list = grown;
        struct peer *fresh = calloc(1, sizeof *fresh);
        ASSERT(fresh != NULL);
        peers->list[peers->count++] = fresh;
        return fresh;
    }
    disconnect(peers, oldest);
    const uint32_t life = oldest->life;
    *oldest = (struct peer){.life = life + 1};
    return oldest;
}

void blob_peers_hello(struct blob_peers *peers, uint64_t from, const char *user,
                      const struct msg_data_hello *hello, int64_t now_ms, int64_t time_ms)
{
    struct peer *peer = find(peers, from);
    if (peer == NULL || strcmp(peer->worker, hello->worker) != 0) {
        if (peer != NULL) {
            disconnect(peers, peer);
        }
        peer = place_for(peers, hello->worker, user);
        disconnect(peers, peer);
        peer->from = from;
        const struct digest key = digest_of_number(from);
        digest_map_put(&peers->by_connection, &key, peer);
        snprintf(peer->worker, sizeof peer->worker, "%s", hello->worker);
        snprintf(peer->user, sizeof peer->user, "%s", user);
    }
    if (!digest_equal(&peer->server_key, &hello->server_key)) {
        forget_blobs(peer);
        peer->accusations = peer->accuser_count = 0;
    }
    peer->server_key = hello->server_key;
    snprintf(peer->endpoint, sizeof peer->endpoint, "%s", hello->endpoint);
    peer->told = *hello;
    peer->seen_ms = now_ms;
    peer->seen_time_ms = time_ms;
}

void blob_peers_keep(struct blob_peers *peers, bool (*is_allowed)(void *ctx, const char *user),
                     void *ctx)
{
    for (size_t i = 0; i < peers->count; i++) {
        struct peer *peer = peers->list[i];
        if (peer->from != 0 && !is_allowed(ctx, peer->user)) {
            disconnect(peers, peer);
            forget_blobs(peer);
            peer->endpoint[0] = '\0';
        }
    }
}

static bool serves(const struct peer *peer, int64_t now_ms)
{
    return peer->from != 0 && peer->endpoint[0] != '\0' && peer->accuser_count < ACCUSERS_MAX &&
           now_ms - peer->seen_ms < DATA_SILENCE_MS;
}

size_t blob_peers_serving(const struct blob_peers *peers, int64_t now_ms, uint64_t *out,
                          size_t out_max)
{
    size_t count = 0;
    for (size_t i = 0; i < peers->count && count < out_max; i++) {
        if (serves(peers->list[i], now_ms)) {
            out[count++] = peers->list[i]->from;
        }
    }
    return count;
}

/* ---- blobs ---- */

static uint32_t number_of(const struct blob_peers *peers, const struct peer *peer)
{
    for (size_t i = 0; i < peers->count; i++) {
        if (peers->list[i] == peer) {
            return (uint32_t)i;
        }
    }
    UNREACHABLE("a peer that is not in the list");
}

static struct holding *holding_of(struct blob_peers *peers, const struct digest *digest)
{
    const struct digest place = place_of(peers, digest);
    struct holding *h = digest_map_get(&peers->by_digest, &place);
    if (h != NULL) {
        return h;
    }
    if (peers->ring == NULL) {
        peers->ring = calloc(BLOB_PEERS_HOLDINGS_MAX, sizeof(struct holding *));
        ASSERT(peers->ring != NULL);
    }
    if (peers->ring_count < BLOB_PEERS_HOLDINGS_MAX) {
        h = calloc(1, sizeof *h);
        ASSERT(h != NULL);
        peers->ring[peers->ring_count++] = h;
    } else {
        h = peers->ring[peers->ring_next];
        peers->ring_next = (peers->ring_next + 1) % BLOB_PEERS_HOLDINGS_MAX;
        digest_map_remove(&peers->by_digest, &h->place);
    }
    *h = (struct holding){.place = place};
    digest_map_put(&peers->by_digest, &place, h);
    return h;
}

static void note(struct blob_peers *peers, struct peer *peer, uint32_t number,
                 const struct digest *digest)
{
    struct holding *h = holding_of(peers, digest);
    for (uint32_t i = 0; i < h->count; i++) {
        if (h->holders[i].peer == number) {
            peer->blobs_held += h->holders[i].life != peer->life;
            h->holders[i].life = peer->life;
            return;
        }
    }
    h->holders[h->next] = (struct holder){number, peer->life};
    h->next = (h->next + 1) % BLOB_PEERS_HOLDERS_MAX;
    h->count += h->count < BLOB_PEERS_HOLDERS_MAX;
    peer->blobs_held++;
}

void blob_peers_held(struct blob_peers *peers, uint64_t from, const struct digest *digests,
                     size_t count)
{
    struct peer *peer = find(peers, from);
    if (peer == NULL || peer->endpoint[0] == '\0') {
        return;
    }
    const uint32_t number = number_of(peers, peer);
    for (size_t i = 0; i < count; i++) {
        note(peers, peer, number, &digests[i]);
    }
}

static int by_use(const void *a, const void *b)
{
    const struct peer *const *x = a;
    const struct peer *const *y = b;
    if ((*x)->named != (*y)->named) {
        return (*x)->named < (*y)->named ? -1 : 1;
    }
    return strcmp((*x)->worker, (*y)->worker);
}

size_t blob_peers_where(struct blob_peers *peers, uint64_t from, const struct digest *digest,
                        int64_t now_ms, struct blob_source out[BLOB_SOURCES_MAX])
{
    const struct digest place = place_of(peers, digest);
    const struct holding *h = digest_map_get(&peers->by_digest, &place);
    struct peer *found[BLOB_PEERS_HOLDERS_MAX];
    size_t count = 0;
    for (uint32_t i = 0; h != NULL && i < h->count; i++) {
        struct peer *peer = peers->list[h->holders[i].peer];
        if (peer->life == h->holders[i].life && peer->from != from && serves(peer, now_ms)) {
            found[count++] = peer;
        }
    }
    if (count == 0) {
        return 0;
    }
    qsort(found, count, sizeof found[0], by_use);
    found[0]->named++;
    count = count < BLOB_SOURCES_MAX ? count : BLOB_SOURCES_MAX;
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct blob_source){found[i]->worker, found[i]->endpoint, found[i]->server_key};
    }
    return count;
}

const char *blob_peers_accuse(struct blob_peers *peers, uint64_t from,
                              const struct digest *server_key)
{
    const struct peer *accuser = find(peers, from);
    struct peer *accused = NULL;
    for (size_t i = 0; i < peers->count; i++) {
        struct peer *peer = peers->list[i];
        if (peer->endpoint[0] != '\0' && digest_equal(&peer->server_key, server_key)) {
            accused = peer;
        }
    }
    if (accuser == NULL || accused == NULL || accuser == accused) {
        return NULL;
    }
    const struct digest name = digest_of_text(accuser->worker);
    for (size_t i = 0; i < accused->accuser_count; i++) {
        if (digest_equal(&accused->accusers[i], &name)) {
            return NULL;
        }
    }
    accused->accusations++;
    if (accused->accuser_count < ACCUSERS_MAX) {
        accused->accusers[accused->accuser_count++] = name;
    }
    return accused->worker;
}

/* ---- rows ---- */

static int by_name(const void *a, const void *b)
{
    const struct peer *const *x = a;
    const struct peer *const *y = b;
    return strcmp((*x)->worker, (*y)->worker);
}

size_t blob_peers_rows(const struct blob_peers *peers, const char *after, struct traffic_row *rows,
                       size_t rows_max, struct arena *arena, bool *more)
{
    struct peer **sorted = arena_array(arena, peers->count + 1, sizeof(struct peer *));
    size_t count = 0;
    for (size_t i = 0; i < peers->count; i++) {
        if (strcmp(peers->list[i]->worker, after) > 0) {
            sorted[count++] = peers->list[i];
        }
    }
    if (count > 0) {
        qsort(sorted, count, sizeof(struct peer *), by_name);
    }
    *more = count > rows_max;
    count = count < rows_max ? count : rows_max;
    for (size_t i = 0; i < count; i++) {
        const struct peer *peer = sorted[i];
        rows[i] = (struct traffic_row){.worker = arena_strdup(arena, peer->worker),
                                       .endpoint = arena_strdup(arena, peer->endpoint),
                                       .blobs_held = peer->blobs_held,
                                       .coordinator_bytes = peer->told.coordinator_bytes,
                                       .peer_bytes = peer->told.peer_bytes,
                                       .shared_bytes = peer->told.shared_bytes,
                                       .served_bytes = peer->told.served_bytes,
                                       .accusations = peer->accusations,
                                       .seen_ms = peer->seen_time_ms};
    }
    return count;
}
