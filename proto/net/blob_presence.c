/* What the two ends of the data socket tell of themselves: DATA_HELLO and its answer
 * (docs/protocol.md section 5). A coordinator that does not answer is an older one: everything then
 * goes as it did. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "blob_cache.h"
#include "blob_client_internal.h"
#include "check.h"
#include "log.h"

/* The answer is waited for so long before the first question of a connection. */
#define SETTLE_MS 1000
/* Told after connecting: the newest blobs of a cache. */
#define HELD_MAX 1024

static void say_hello(struct blob_client *client)
{
    struct blob_serve *serve = client->serve;
    struct msg m = {.kind = MSG_DATA_HELLO,
                    .data_hello = {.worker = client->worker,
                                   .endpoint = serve ? blob_serve_endpoint(serve) : "",
                                   .keys_version = client->keys_version,
                                   .coordinator_bytes = client->traffic.coordinator_bytes,
                                   .peer_bytes = client->traffic.peer_bytes,
                                   .shared_bytes = client->traffic.shared_bytes,
                                   .served_bytes = serve ? blob_serve_bytes(serve) : 0}};
    if (serve)
        m.data_hello.server_key = blob_serve_key(serve);
    client->beat_sent_ms = blob_now_ms(client);
    blob_send(client, &m);
}

/* ---- what we hold ---- */

struct held {
    struct digest digest;
    int64_t used_s;
};

static int newest_first(const void *a, const void *b)
{
    const struct held *x = a, *y = b;
    if (x->used_s != y->used_s)
        return x->used_s > y->used_s ? -1 : 1;
    return memcmp(x->digest.bytes, y->digest.bytes, DIGEST_BYTES);
}

/* The blobs of the cache that are worth asking for; the caller frees the list. */
static struct held *list_held(const char *cache, size_t *count_out)
{
    struct held *list = NULL;
    size_t count = 0;
    DIR *dir = opendir(cache);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        struct digest digest;
        struct stat status;
        if (!digest_from_hex(e->d_name, &digest) ||
            fstatat(dirfd(dir), e->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(status.st_mode) || (uint64_t)status.st_size < PEER_BLOB_BYTES_MIN)
            continue;
        struct held *grown = realloc(list, (count + 1) * sizeof *list);
        ASSERT(grown);
        list = grown;
        list[count++] = (struct held){digest, status.st_mtime};
    }
    if (dir)
        closedir(dir);
    if (count)
        qsort(list, count, sizeof *list, newest_first);
    *count_out = count < HELD_MAX ? count : HELD_MAX;
    return list;
}

static void tell_held(struct blob_client *client)
{
    struct digest digests[BLOB_STAT_DIGESTS_MAX];
    size_t count = 0, done = 0;
    struct held *list = list_held(client->cache, &count);
    while (done < count) {
        size_t n = 0;
        while (n < BLOB_STAT_DIGESTS_MAX && done < count)
            digests[n++] = list[done++].digest;
        blob_send(client, &(struct msg){.kind = MSG_BLOB_HELD, .blob_held = {digests, n}});
    }
    free(list);
}

void blob_presence_holds(struct blob_client *client, const struct digest *digest, uint64_t size)
{
    struct digest held = *digest;
    if (client->serve && client->is_welcome && size >= PEER_BLOB_BYTES_MIN)
        blob_send(client, &(struct msg){.kind = MSG_BLOB_HELD, .blob_held = {&held, 1}});
}

/* ---- what the coordinator says ---- */

static void take_store(struct blob_client *client, const struct msg_data_welcome *welcome)
{
    if (client->store_folder && strcmp(client->store_folder, welcome->store_folder) == 0 &&
        digest_equal(&client->store_token, &welcome->store_token))
        return;
    free(client->store_folder);
    client->store_folder = welcome->store_folder[0] ? strdup(welcome->store_folder) : NULL;
    client->store_token = welcome->store_token;
    client->store_is_far = false;
}

void blob_presence_welcome(struct blob_client *client, const struct msg_data_welcome *welcome)
{
    const bool is_first = !client->is_welcome;
    client->is_welcome = true;
    client->heard_ms = blob_now_ms(client);
    take_store(client, welcome);
    if (client->serve && welcome->has_keys) {
        blob_serve_allow(client->serve, welcome->keys, welcome->key_count);
        client->keys_version = welcome->keys_version;
    }
    if (is_first && client->serve)
        tell_held(client);
    if (client->settle_until_ms > 0) {
        client->settle_until_ms = 0;
        if (client->phase == BLOB_ASKING)
            blob_restart(client);
    }
}

void blob_presence_connected(struct blob_client *client)
{
    client->is_welcome = false; /* it may be another program by now */
    client->settle_until_ms = blob_now_ms(client) + SETTLE_MS;
    say_hello(client);
}

/* Fail closed: who is not told any more whose keys are good serves nobody. */
static void serve_nobody(struct blob_client *client)
{
    log_event(LOG_INFO, "serving_paused", "why=\"the coordinator is silent\"");
    blob_serve_allow(client->serve, NULL, 0);
    client->keys_version = 0;
}

static void on_beat(uv_timer_t *timer)
{
    struct blob_client *client = timer->data;
    const int64_t now = blob_now_ms(client);
    if (client->serve || now - client->beat_sent_ms >= DATA_REPORT_MS)
        say_hello(client);
    if (client->serve && client->keys_version != 0 && now - client->heard_ms >= DATA_SILENCE_MS)
        serve_nobody(client);
    blob_peer_close_idle(client);
}

/* ---- life ---- */

void blob_presence_open(struct blob_client *client, const struct blob_client_options *options)
{
    snprintf(client->worker, sizeof client->worker, "%s", options->worker ? options->worker : "");
    client->serve = options->serve;
    if (options->store_folder) {
        client->own_view = strdup(options->store_folder);
        ASSERT(client->own_view != NULL);
    }
    uv_timer_init(client->loop, &client->beat);
    client->beat.data = client;
    client->open_handles++;
    uv_timer_start(&client->beat, on_beat, DATA_HELLO_MS, DATA_HELLO_MS);
}

void blob_presence_release(struct blob_client *client)
{
    free(client->own_view);
    free(client->store_folder);
}
