/* Frames about workers that serve blobs to each other: the coordinator tells who has what and whose
 * keys are good, and carries none of the bytes. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "blob_peers.h"
#include "check.h"
#include "clock.h"
#include "log.h"
#include "server_state.h"

static void fill_welcome(struct server *server, uint64_t request, uint64_t keys_version,
                         struct msg_data_welcome *out)
{
    const bool has_keys = keys_version != server->worker_keys_version;
    *out = (struct msg_data_welcome){.request = request,
                                     .keys_version = server->worker_keys_version,
                                     .has_keys = has_keys,
                                     .keys = has_keys ? server->worker_keys : NULL,
                                     .key_count = has_keys ? server->worker_key_count : 0,
                                     .store_folder =
                                         server->store_folder != NULL ? server->store_folder : "",
                                     .store_token = artifacts_token(server->artifacts)};
}

static void on_hello(struct server *server, uint64_t from, enum net_role role, const char *user,
                     const struct msg_data_hello *hello)
{
    /* Only workers are told of, and only those who serve need to know who may ask them. */
    const bool is_worker = role == NET_WORKER && *hello->worker != '\0';
    const bool serves = is_worker && *hello->endpoint != '\0';
    if (is_worker) {
        blob_peers_hello(server->blob_peers, from, user, hello, clock_mono_ms(), clock_time_ms());
    }
    struct msg *reply = turn_reply(server, from, MSG_DATA_WELCOME);
    fill_welcome(server, hello->request, serves ? hello->keys_version : server->worker_keys_version,
                 &reply->data_welcome);
}

static void on_where(struct server *server, uint64_t from, enum net_role role,
                     const struct msg_blob_where *where)
{
    struct blob_source *sources = arena_array(&server->answers, BLOB_SOURCES_MAX, sizeof *sources);
    const int64_t size = artifacts_size(server->artifacts, &where->digest);
    size_t count = 0;
    if (role == NET_WORKER && size >= (int64_t)PEER_BLOB_BYTES_MIN) {
        count =
            blob_peers_where(server->blob_peers, from, &where->digest, clock_mono_ms(), sources);
    }
    for (size_t i = 0; i < count; i++) { /* the answer leaves at the end of the turn */
        sources[i].worker = arena_strdup(&server->answers, sources[i].worker);
        sources[i].endpoint = arena_strdup(&server->answers, sources[i].endpoint);
    }
    struct msg *reply = turn_reply(server, from, MSG_BLOB_SOURCES);
    reply->blob_sources = (struct msg_blob_sources){.request = where->request,
                                                    .size = size,
                                                    .sources = count == 0 ? NULL : sources,
                                                    .source_count = count};
}

static void on_bad(struct server *server, uint64_t from, const char *user,
                   const struct msg_blob_bad *bad)
{
    char hex[DIGEST_HEX_SIZE];
    const char *accused = blob_peers_accuse(server->blob_peers, from, &bad->server_key);
    if (accused != NULL) {
        log_event(LOG_ERROR, "wrong_bytes_served", "worker=%s blob=%.12s found_by_key=%s", accused,
                  digest_hex(&bad->digest, hex), user);
    }
}

bool data_peers_frame(struct server *server, uint64_t from, enum net_role role, const char *user,
                      const struct msg *msg)
{
    if (msg->kind == MSG_DATA_HELLO) {
        on_hello(server, from, role, user, &msg->data_hello);
    } else if (msg->kind == MSG_BLOB_WHERE) {
        on_where(server, from, role, &msg->blob_where);
    } else if (msg->kind == MSG_BLOB_HELD && role == NET_WORKER) {
        blob_peers_held(server->blob_peers, from, msg->blob_held.digests,
                        msg->blob_held.digest_count);
    } else if (msg->kind == MSG_BLOB_BAD && role == NET_WORKER) {
        on_bad(server, from, user, &msg->blob_bad);
    } else {
        return false;
    }
    return true;
}

/* ---- keys ---- */

static void read_keys(struct server *server)
{
    server->worker_key_count =
        keys_watch_worker_keys(&server->keys, server->worker_keys, DATA_KEYS_MAX);
    const struct digest all =
        hash_bytes(server->worker_keys, server->worker_key_count * sizeof *server->worker_keys);
    memcpy(&server->worker_keys_version, all.bytes, sizeof server->worker_keys_version);
    server->worker_keys_version |= 1; /* 0 is nobody's list */
}

static bool is_allowed(void *ctx, const char *user)
{
    const struct server *server = ctx;
    return keys_watch_has_user(&server->keys, user);
}

void data_peers_keys_changed(struct server *server)
{
    const uint64_t former = server->worker_keys_version;
    read_keys(server);
    blob_peers_keep(server->blob_peers, is_allowed, server);
    if (former == server->worker_keys_version) {
        return;
    }
    turn_begin(server);
    uint64_t *peers = arena_array(&server->answers, WORKERS_MAX, sizeof *peers);
    const size_t count =
        blob_peers_serving(server->blob_peers, clock_mono_ms(), peers, WORKERS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct msg *welcome = turn_reply(server, peers[i], MSG_DATA_WELCOME);
        fill_welcome(server, 0, former, &welcome->data_welcome);
    }
}

/* ---- life ---- */

enum err_code data_peers_open(struct server *server, struct err *err)
{
    (void)err;
    const struct digest token = artifacts_token(server->artifacts);
    struct digest salt;
    ssize_t n = getrandom(&salt, sizeof salt, 0);
    ASSERT(n == (ssize_t)sizeof salt);
    server->blob_peers = blob_peers_new(&salt);
    server->worker_keys = calloc(DATA_KEYS_MAX, sizeof *server->worker_keys);
    ASSERT(server->worker_keys != NULL);
    read_keys(server);
    if (!digest_is_none(&token)) {
        server->store_folder = realpath(artifacts_folder(server->artifacts), NULL);
    }
    if (server->store_folder != NULL && strlen(server->store_folder) >= PATH_BYTES_MAX) {
        free(server->store_folder);
        server->store_folder = NULL;
    }
    return ERR_OK;
}

void data_peers_free(struct server *server)
{
    blob_peers_free(server->blob_peers);
    free(server->worker_keys);
    free(server->store_folder);
}
