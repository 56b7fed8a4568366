/* A blob comes in: from the store's folder, from other workers, or from the coordinator. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob_cache.h"
#include "blob_client_internal.h"
#include "blob_part.h"
#include "check.h"
#include "file.h"
#include "log.h"

bool blob_get_send(struct blob_client *client)
{
    const struct msg m = {
        .kind = MSG_BLOB_READ,
        .blob_read = {client->request, blob_current(client)->digest, client->next}};
    return blob_send_to(client, client->sources.current < 0 ? client->socket : client->peer, &m);
}

/* ---- beginning ---- */

/* All bytes are here: check them, make them durable, give them their name. */
static void finish_get(struct blob_client *client);

static void go_on(struct blob_client *client)
{
    client->phase = BLOB_MOVING;
    if (client->moved == client->total)
        finish_get(client);
    else
        blob_get_choose(client);
}

static void start_moving(struct blob_client *client)
{
    struct blob_part part;
    struct err err;
    if (client->fd >= 0) {
        go_on(client);
        return;
    }
    enum err_code rc = blob_part_open(client->cache, &blob_current(client)->digest, &part, &err);
    if (rc != ERR_OK) {
        blob_fail(client, rc, &err);
        return;
    }
    client->fd = part.fd;
    client->temporary = part.path;
    client->hash = aligned_alloc(_Alignof(struct hash_state), sizeof *client->hash);
    ASSERT(client->hash != NULL);
    hash_init(client->hash);
    /* What goes beyond would stay behind the blob's end. */
    const uint64_t kept = part.len <= client->total ? part.len : 0;
    if (ftruncate(client->fd, (off_t)kept) != 0)
        BLOB_FAIL_OS(client, "fetch blob: go on in '%s'", client->cache);
    else if (kept > 0)
        blob_near_read(client, kept);
    else
        go_on(client);
}

void blob_get_read(struct blob_client *client, uint64_t len, uint64_t print)
{
    char hex[DIGEST_HEX_SIZE];
    client->progress_ms = blob_now_ms(client);
    if (len > 0) {
        log_event(LOG_INFO, "fetch_resumed", "blob=%.12s kept=%" PRIu64 " of=%" PRIu64,
                  digest_hex(&blob_current(client)->digest, hex), len, client->total);
        client->moved = client->next = len;
        blob_sources_kept(&client->sources, len, print);
    }
    go_on(client);
}

void blob_get_choose(struct blob_client *client)
{
    const enum source_choice choice = blob_sources_choose(&client->sources);
    client->phase = choice == CHOOSE_WAIT ? BLOB_WAITING : BLOB_MOVING;
    client->wait_until_ms = blob_now_ms(client) + SOURCES_WAIT_MS;
    if (choice == CHOOSE_PEER) {
        blob_peer_use(client);
    } else if (choice == CHOOSE_COORDINATOR) {
        client->progress_ms = blob_now_ms(client);
        blob_restart(client);
    }
}

void blob_get_size(struct blob_client *client, int64_t size, const struct blob_source *sources,
                   size_t source_count)
{
    if (size < 0) {
        BLOB_FAIL(client, ERR_NOT_FOUND, "the store does not have it");
        return;
    }
    if (size > BLOB_BYTES_MAX) {
        BLOB_FAIL(client, ERR_LIMIT, "it has %" PRId64 " bytes", size);
        return;
    }
    client->progress_ms = blob_now_ms(client);
    if (client->fd >= 0 && (uint64_t)size != client->total) {
        BLOB_FAIL(client, ERR_CORRUPT, "fetch blob: the store's size of it changed");
        return;
    }
    client->total = (uint64_t)size;
    blob_sources_size(&client->sources, client->total);
    blob_sources_offer(&client->sources, sources, source_count);
    if (client->fd < 0 && !client->near_failed && blob_near_may_be_used(client))
        blob_near_take(client);
    else
        start_moving(client);
}

void blob_get_near_done(struct blob_client *client, enum err_code code, const struct err *err)
{
    if (code == ERR_OK) {
        const uint64_t size = client->total;
        client->traffic.shared_bytes += size;
        blob_presence_holds(client, &blob_current(client)->digest, size);
        blob_item_done(client);
        return;
    }
    client->near_failed = true;
    if (!client->store_is_far)
        log_event(LOG_WARN, "store_folder_not_used", "error=\"%s\"", err->text);
    start_moving(client);
}

/* ---- bytes ---- */

/* What came is not the blob. Who is to blame is banned and named, and it begins anew; with nobody
 * but the coordinator to blame it fails. */
static void wrong_bytes(struct blob_client *client)
{
    struct source culprits[SOURCES_PIECES_MAX + 1];
    bool may_retry = false;
    const size_t count = blob_sources_mismatch(&client->sources, culprits, &may_retry);
    if (!may_retry) {
        BLOB_FAIL(client, ERR_CORRUPT, "fetch blob: the bytes do not match the digest");
        return;
    }
    for (size_t i = 0; i < count; i++)
        blob_peer_banned(client, &culprits[i], "the bytes do not match the digest");
    if (ftruncate(client->fd, 0) != 0) {
        BLOB_FAIL_OS(client, "fetch blob: begin anew in '%s'", client->cache);
        return;
    }
    hash_init(client->hash);
    client->moved = client->next = 0;
    blob_get_choose(client);
}

static void finish_get(struct blob_client *client)
{
    struct source culprits[SOURCES_PIECES_MAX + 1];
    const struct digest digest = hash_final(client->hash);
    if (!digest_equal(&digest, &blob_current(client)->digest)) {
        wrong_bytes(client);
        return;
    }
    const size_t count = blob_sources_whole(&client->sources, culprits);
    for (size_t i = 0; i < count; i++)
        blob_peer_banned(client, &culprits[i], "its bytes are not those of the coordinator");
    blob_near_name(client);
}

void blob_get_named(struct blob_client *client, enum err_code code, const struct err *err)
{
    if (code != ERR_OK) {
        blob_fail(client, code, err);
        return;
    }
    blob_presence_holds(client, &blob_current(client)->digest, client->total);
    blob_item_done(client);
}

static bool chunk_is_sound(const struct blob_client *client, const struct msg_blob_chunk *chunk)
{
    const uint64_t left = client->total - client->moved;
    const size_t expected = left < BLOB_CHUNK_BYTES ? (size_t)left : BLOB_CHUNK_BYTES;
    return chunk->total == client->total && chunk->data.len == expected &&
           chunk->crc32c == hash_crc32c(chunk->data.data, chunk->data.len);
}

static void count_bytes(struct blob_client *client, size_t len)
{
    if (client->sources.current < 0) {
        client->traffic.coordinator_bytes += len;
    } else {
        client->traffic.peer_bytes += len;
        client->peer_bytes += len;
    }
}

void blob_get_chunk(struct blob_client *client, const struct msg_blob_chunk *chunk)
{
    blob_arrived(client, chunk->request);
    if (chunk->offset != client->moved) {
        if (chunk->offset < client->moved)
            blob_pump(client); /* it came twice */
        return;                /* a gap: something was lost, and the tick starts over */
    }
    if (!chunk_is_sound(client, chunk)) {
        if (client->sources.current < 0) {
            BLOB_FAIL(client, ERR_CORRUPT, "fetch blob: a damaged chunk at %" PRIu64,
                      chunk->offset);
        } else {
            const struct source who = client->sources.list[client->sources.current];
            blob_sources_failed(&client->sources);
            blob_peer_banned(client, &who, "a damaged chunk");
            blob_get_choose(client);
        }
        return;
    }
    ssize_t n = pwrite(client->fd, chunk->data.data, chunk->data.len, (off_t)chunk->offset);
    if (n != (ssize_t)chunk->data.len) {
        errno = n < 0 ? errno : ENOSPC; /* a file takes less than asked only when nothing is left */
        BLOB_FAIL_OS(client, "fetch blob: write in '%s'", client->cache);
        return;
    }
    /* Let the kernel write while more arrives, so that the fsync at the end does not stall the
     * loop; a mere hint. */
    (void)sync_file_range(client->fd, (off_t)chunk->offset, (off_t)chunk->data.len,
                          SYNC_FILE_RANGE_WRITE);
    hash_update(client->hash, chunk->data.data, chunk->data.len);
    blob_sources_took(&client->sources, chunk->offset, chunk->data.len, chunk->crc32c);
    count_bytes(client, chunk->data.len);
    client->moved += chunk->data.len;
    if (client->next < client->moved)
        client->next = client->moved;
    client->progress_ms = blob_now_ms(client);
    if (client->moved == client->total)
        finish_get(client);
    else
        blob_pump(client);
}

void blob_get_tick(struct blob_client *client)
{
    if (client->phase == BLOB_MOVING) {
        blob_peer_tick(client);
    } else if (blob_now_ms(client) >= client->wait_until_ms) {
        client->phase = BLOB_ASKING; /* who finished meanwhile has it, too */
        client->progress_ms = blob_now_ms(client);
        blob_restart(client);
    }
}
