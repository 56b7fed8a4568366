/* A blob goes out: into the store's folder where that is in sight, else chunk by chunk. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob_client_internal.h"
#include "check.h"
#include "log.h"

void blob_put_start(struct blob_client *client)
{
    struct stat status;
    const char *path = blob_current(client)->path;
    client->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (client->fd < 0 || fstat(client->fd, &status) != 0) {
        BLOB_FAIL(client, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "send blob: open '%s': %s",
                  path, strerror(errno));
        return;
    }
    client->total = (uint64_t)status.st_size;
    blob_restart(client);
}

bool blob_put_send(struct blob_client *client)
{
    uint8_t chunk[BLOB_CHUNK_BYTES];
    const uint64_t left = client->total - client->next;
    const size_t len = left < sizeof chunk ? (size_t)left : sizeof chunk;
    ssize_t n = pread(client->fd, chunk, len, (off_t)client->next);
    if (n != (ssize_t)len) {
        BLOB_FAIL(client, n < 0 ? ERR_IO : ERR_CORRUPT, "send blob: '%s' %s",
                  blob_current(client)->path, n < 0 ? strerror(errno) : "became shorter");
        return false;
    }
    const struct msg m = {.kind = MSG_BLOB_WRITE,
                          .blob_write = {.request = client->request,
                                         .digest = blob_current(client)->digest,
                                         .offset = client->next,
                                         .total = client->total,
                                         .crc32c = hash_crc32c(chunk, len),
                                         .data = {chunk, len}}};
    return blob_send(client, &m);
}

static void put_done(struct blob_client *client)
{
    blob_presence_holds(client, &blob_current(client)->digest, client->total);
    blob_item_done(client);
}

void blob_put_size(struct blob_client *client, int64_t size)
{
    if (size >= 0) {
        put_done(client); /* it is there already */
        return;
    }
    client->progress_ms = blob_now_ms(client);
    if (!client->near_failed && blob_near_may_be_used(client)) {
        blob_near_place(client);
        return;
    }
    client->phase = BLOB_MOVING;
    blob_pump(client);
}

/* ---- through the store's folder ---- */

void blob_put_place(struct blob_client *client)
{
    const struct msg m = {.kind = MSG_BLOB_PLACE,
                          .blob_place = {.request = client->request,
                                         .digest = blob_current(client)->digest,
                                         .size = client->total,
                                         .nonce = client->nonce}};
    blob_send(client, &m);
}

void blob_put_by_socket(struct blob_client *client, const char *why)
{
    log_event(LOG_WARN, "store_folder_not_used", "error=\"%s\"", why);
    client->near_failed = true;
    client->moved = 0; /* while it was being verified this counted what the store had read */
    client->phase = BLOB_ASKING;
    client->progress_ms = blob_now_ms(client);
    blob_restart(client);
}

void blob_put_near_done(struct blob_client *client, enum err_code code, const struct err *err)
{
    client->progress_ms = blob_now_ms(client);
    if (code == ERR_OK) {
        client->phase = BLOB_PLACING;
        blob_restart(client);
    } else if (client->store_is_far) {
        client->near_failed = true;
        client->phase = BLOB_MOVING;
        blob_restart(client);
    } else {
        blob_put_by_socket(client, err->text);
    }
}

/* ---- chunk by chunk ---- */

void blob_put_written(struct blob_client *client, const struct msg_blob_written *written)
{
    if (written->complete) {
        put_done(client);
        return;
    }
    if (written->next > client->total) {
        BLOB_FAIL(client, ERR_CORRUPT, "send blob: the store wants byte %" PRIu64 " of %" PRIu64,
                  written->next, client->total);
        return;
    }
    /* With all bytes there the store waits for its disk, or reads: it says so, and that will do. */
    const bool is_all = written->next == client->total;
    if (written->next > client->moved || is_all || client->phase == BLOB_PLACING)
        client->progress_ms = blob_now_ms(client);
    if (client->phase == BLOB_PLACING) {
        client->moved = written->next; /* verified so far; the tick asks again */
        return;
    }
    blob_arrived(client, written->request);
    if (written->next > client->next)
        client->next = written->next; /* a former writer left a part */
    if (written->next < client->moved) {
        client->moved = written->next; /* the store lost its part */
        blob_restart(client);
        return;
    }
    client->moved = written->next;
    if (is_all)
        return; /* we hear when it is durable; the tick asks */
    if (client->in_flight == 0)
        client->next = client->moved; /* chunks were lost or out of order */
    blob_pump(client);
}
