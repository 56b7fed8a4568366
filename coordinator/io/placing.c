/* Blobs that are all here become durable on a thread, so that the loop does not wait for the disk:
 * those that came piece by piece, and those put into the store's folder by somebody who sees it
 * (BLOB_PLACE), which are read first. Whoever asks meanwhile hears how far that is. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "log.h"
#include "server_state.h"

/* libuv has four threads; more than this in its queue are told to come again. */
#define PLACINGS_MAX 32
/* Of those that came piece by piece: each holds a descriptor. */
#define WRITTEN_MAX 256

struct placing {
    uv_work_t request;
    struct placing *next;
    struct server *server;
    struct artifacts_placed placed;
    struct artifacts_naming *naming;
    bool is_written;             /* it came piece by piece: there is nothing to verify */
    uint64_t peer, peer_request; /* who is waiting; the newest asker */
    enum err_code code;
    struct err err;
};

static void on_thread(uv_work_t *request)
{
    struct placing *p = request->data;
    if (!p->is_written) {
        p->code = artifacts_verify_placed(p->server->artifacts, &p->placed, &p->err);
    }
    if (p->code == ERR_OK && p->placed.stop) {
        p->code = err_set(&p->err, ERR_CANCELLED, "the coordinator stops");
    }
    if (p->code == ERR_OK) {
        p->code = artifacts_naming_run(p->naming, &p->err);
    }
}

static void unlink_placing(struct placing *p)
{
    struct placing **at = &p->server->placings;
    while (*at != p) {
        at = &(*at)->next;
    }
    *at = p->next;
}

static void reply_written(struct server *server, uint64_t peer, uint64_t request,
                          const struct artifacts_placed *placed, bool complete)
{
    struct msg *reply = turn_reply(server, peer, MSG_BLOB_WRITTEN);
    reply->blob_written =
        (struct msg_blob_written){.request = request,
                                  .digest = placed->digest,
                                  .next = complete ? placed->size : placed->verified,
                                  .complete = complete};
}

static void finish(struct server *server, struct placing *p)
{
    turn_begin(server);
    if (p->code == ERR_OK) {
        data_blobs_have_room(server);
        reply_written(server, p->peer, p->peer_request, &p->placed, true);
        return;
    }
    log_event(LOG_WARN, "blob_refused", "error='%s'", p->err.text);
    if (!p->is_written) {
        artifacts_drop_placed(server->artifacts, &p->placed);
    }
    data_blobs_full(server, &p->err);
    turn_reply_error(server, p->peer, p->peer_request, &p->err);
}

static void on_done(uv_work_t *request, int status)
{
    struct placing *p = request->data;
    struct server *server = p->server;
    unlink_placing(p);
    artifacts_naming_end(server->artifacts, p->naming);
    if (status != 0) {
        p->code = err_os(&p->err, -status, "verify a blob");
    }
    if (!server->stopping) {
        finish(server, p);
    }
    free(p);
}

static struct placing *placing_new(struct server *server, uint64_t from, uint64_t request,
                                   const struct digest *digest, uint64_t size)
{
    struct placing *p = calloc(1, sizeof *p);
    ASSERT(p != NULL);
    p->request.data = p;
    p->server = server;
    p->placed.digest = *digest;
    p->placed.size = size;
    p->peer = from;
    p->peer_request = request;
    p->next = server->placings;
    server->placings = p;
    return p;
}

static void start(struct placing *p)
{
    int status = uv_queue_work(p->server->loop, &p->request, on_thread, on_done);
    ASSERT(status == 0);
}

static struct placing *find(const struct server *server, const struct msg_blob_place *place,
                            size_t *count_out)
{
    struct placing *found = NULL;
    *count_out = 0;
    for (struct placing *p = server->placings; p != NULL; p = p->next) {
        *count_out += !p->is_written;
        if (!p->is_written && digest_equal(&p->placed.digest, &place->digest) &&
            p->placed.nonce == place->nonce) {
            found = p;
        }
    }
    return found;
}

enum err_code placing_begin(struct server *server, uint64_t from,
                            const struct msg_blob_place *place, struct err *err)
{
    size_t count = 0;
    struct placing *p = find(server, place, &count);
    if (p != NULL) {
        p->peer = from;
        p->peer_request = place->request;
        reply_written(server, from, place->request, &p->placed, false);
        return ERR_OK;
    }
    if (place->size > (uint64_t)BLOB_BYTES_MAX) {
        return err_set(err, ERR_LIMIT, "store a blob: %llu bytes are more than a blob may have",
                       (unsigned long long)place->size);
    }
    const struct artifacts_placed placed = {
        .digest = place->digest, .size = place->size, .nonce = place->nonce};
    if (artifacts_size(server->artifacts, &place->digest) >= 0) {
        artifacts_drop_placed(server->artifacts, &placed);
        reply_written(server, from, place->request, &placed, true);
        return ERR_OK;
    }
    if (count == PLACINGS_MAX) {
        return err_set(err, ERR_UNAVAILABLE, "the coordinator verifies %d other blobs",
                       PLACINGS_MAX);
    }
    p = placing_new(server, from, place->request, &place->digest, place->size);
    p->placed.nonce = place->nonce;
    p->naming = artifacts_name_placed(server->artifacts, &p->placed);
    start(p);
    return ERR_OK;
}

bool placing_has_room(const struct server *server)
{
    size_t count = 0;
    for (const struct placing *p = server->placings; p != NULL; p = p->next) {
        count += p->is_written;
    }
    return count < WRITTEN_MAX;
}

void placing_written(struct server *server, uint64_t from, const struct msg_blob_write *write,
                     struct artifacts_naming *naming)
{
    struct placing *p = placing_new(server, from, write->request, &write->digest, write->total);
    p->is_written = true;
    p->naming = naming;
    start(p);
}

void placing_asked(struct server *server, uint64_t from, const struct msg_blob_write *write)
{
    for (struct placing *p = server->placings; p != NULL; p = p->next) {
        if (p->is_written && digest_equal(&p->placed.digest, &write->digest)) {
            p->peer = from;
            p->peer_request = write->request;
        }
    }
}

void placing_stop(struct server *server)
{
    for (struct placing *p = server->placings; p != NULL; p = p->next) {
        p->placed.stop = true;
    }
}
