/* Where the store's folder is in sight (a shared file system, or the coordinator's own machine) a
 * blob is linked or copied instead of sent; what was fetched is made durable and named. That takes
 * as long as the disk takes, so it happens on libuv's threads; a piece of work owns copies of all
 * it needs, for its transfer may be cancelled.
 *
 * That it is the same folder is proved by its token, never by its name. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob_cache.h"
#include "blob_client_internal.h"
#include "blob_folder.h"
#include "blob_part.h"
#include "check.h"
#include "file.h"
#include "log.h"

struct near_work {
    uv_work_t request;
    struct blob_client *client; /* NULL: abandoned */
    struct arena arena;         /* owns the texts */
    const char *folder;
    struct digest token, digest;
    uint64_t nonce;
    enum near_kind { NEAR_TAKE, NEAR_PLACE, NEAR_READ, NEAR_NAME } kind;
    int fd;                  /* NEAR_READ, NEAR_NAME: the part, a descriptor of our own */
    struct hash_state *hash; /* NEAR_READ: of what was read; owned */
    uint64_t len, print;     /* NEAR_READ: bytes to read, then those read, and their print */
    bool may_link;           /* nobody writes to a worker's cache; a person's files are copied */
    const char *from;        /* put: the file to place */
    const char *cache, *temporary, *path;
    bool is_far; /* the folder is not in sight */
    enum err_code code;
    struct err err;
};

bool blob_near_may_be_used(const struct blob_client *client)
{
    return client->is_welcome && client->store_folder && !client->store_is_far;
}

static bool is_in_sight(struct near_work *w)
{
    struct digest found;
    w->code = blob_folder_token(w->folder, &found, &w->err);
    if (w->code == ERR_OK && !digest_equal(&found, &w->token))
        w->code = err_set(&w->err, ERR_CONFLICT, "'%s' is another folder here", w->folder);
    w->is_far = w->code != ERR_OK;
    return !w->is_far;
}

static enum err_code take(struct near_work *w)
{
    enum err_code rc = blob_folder_take(w->folder, &w->digest, w->temporary, w->may_link, &w->err);
    if (rc == ERR_OK && rename(w->temporary, w->path) != 0) {
        rc = err_os(&w->err, errno, "fetch blob: write '%s'", w->path);
        unlink(w->temporary);
    }
    return rc == ERR_OK ? file_sync_dir(w->cache, &w->err) : rc;
}

static enum err_code name(struct near_work *w)
{
    if (fchmod(w->fd, BLOB_MODE) != 0 || fsync(w->fd) != 0 || rename(w->temporary, w->path) != 0) {
        enum err_code rc = err_os(&w->err, errno, "fetch blob: write '%s'", w->path);
        unlink(w->temporary);
        return rc;
    }
    return file_sync_dir(w->cache, &w->err);
}

static void on_thread(uv_work_t *request)
{
    struct near_work *w = request->data;
    if (w->kind == NEAR_NAME)
        w->code = name(w);
    else if (w->kind == NEAR_READ)
        w->len = blob_part_read(w->fd, w->len, w->hash, &w->print);
    if (w->kind == NEAR_NAME || w->kind == NEAR_READ || !is_in_sight(w))
        return;
    w->code = w->kind == NEAR_PLACE ? blob_folder_place(w->folder, &w->digest, w->nonce, w->from,
                                                        w->may_link, &w->err)
                                    : take(w);
}

static void work_free(struct near_work *w)
{
    if (w->fd >= 0)
        close(w->fd);
    free(w->hash);
    arena_release(&w->arena);
    free(w);
}

/* What nobody will ask the coordinator to name. */
static void drop_placed(struct near_work *w)
{
    if (w->kind == NEAR_PLACE && w->code == ERR_OK)
        unlink(blob_folder_incoming(w->folder, &w->digest, w->nonce, &w->arena));
}

/* What a thread has read is the client's again. */
static void take_back(struct near_work *w, bool was_read)
{
    struct blob_client *client = w->client;
    client->fd = w->fd;
    client->hash = w->hash;
    w->fd = -1;
    w->hash = NULL;
    blob_get_read(client, was_read ? w->len : 0, w->print);
}

static void on_done(uv_work_t *request, int status)
{
    struct near_work *w = request->data;
    struct blob_client *client = w->client;
    if (!client) {
        drop_placed(w);
        work_free(w);
        return;
    }
    client->near = NULL;
    if (status != 0)
        w->code = err_os(&w->err, -status, "start a thread");
    if (w->is_far) {
        client->store_is_far = true;
        log_event(LOG_INFO, "store_not_in_sight", "folder='%s' why=\"%s\"", w->folder, w->err.text);
    }
    if (w->kind == NEAR_READ)
        take_back(w, status == 0);
    else if (w->kind == NEAR_PLACE)
        blob_put_near_done(client, w->code, &w->err);
    else if (w->kind == NEAR_TAKE)
        blob_get_near_done(client, w->code, &w->err);
    else
        blob_get_named(client, w->code, &w->err);
    work_free(w);
    blob_advance(client);
}

static struct near_work *work_new(struct blob_client *client, enum near_kind kind)
{
    struct near_work *w = calloc(1, sizeof *w);
    ASSERT(w != NULL);
    w->request.data = w;
    w->client = client;
    w->digest = blob_current(client)->digest;
    w->token = client->store_token;
    w->kind = kind;
    w->fd = -1;
    if (kind == NEAR_TAKE || kind == NEAR_PLACE)
        w->folder =
            arena_strdup(&w->arena, client->own_view ? client->own_view : client->store_folder);
    ssize_t n = getrandom(&w->nonce, sizeof w->nonce, 0);
    ASSERT(n == (ssize_t)sizeof w->nonce);
    client->near = w;
    client->phase = BLOB_NEAR;
    return w;
}

static void work_start(struct blob_client *client, struct near_work *w)
{
    int status = uv_queue_work(client->loop, &w->request, on_thread, on_done);
    ASSERT(status == 0);
}

void blob_near_take(struct blob_client *client)
{
    struct near_work *w = work_new(client, NEAR_TAKE);
    w->may_link = client->worker[0] != '\0';
    w->cache = arena_strdup(&w->arena, client->cache);
    w->path = blob_cache_path(client->cache, &w->digest, &w->arena);
    w->temporary =
        arena_printf(&w->arena, "%s.part.%016llx", w->path, (unsigned long long)w->nonce);
    work_start(client, w);
}

void blob_near_place(struct blob_client *client)
{
    struct near_work *w = work_new(client, NEAR_PLACE);
    w->may_link = client->worker[0] != '\0' && client->head->path == NULL;
    w->from = arena_strdup(&w->arena, blob_current(client)->path);
    client->nonce = w->nonce;
    work_start(client, w);
}

void blob_near_read(struct blob_client *client, uint64_t len)
{
    struct near_work *w = work_new(client, NEAR_READ);
    w->len = len;
    w->fd = client->fd;
    w->hash = client->hash;
    client->fd = -1;
    client->hash = NULL;
    work_start(client, w);
}

void blob_near_name(struct blob_client *client)
{
    struct near_work *w = work_new(client, NEAR_NAME);
    w->cache = arena_strdup(&w->arena, client->cache);
    w->path = blob_cache_path(client->cache, &w->digest, &w->arena);
    w->temporary = arena_strdup(&w->arena, client->temporary);
    w->fd = client->fd;
    client->fd = -1;
    free(client->temporary); /* from now on its name may be another's */
    client->temporary = NULL;
    work_start(client, w);
}

void blob_near_abandon(struct blob_client *client)
{
    client->near->client = NULL;
    client->near = NULL;
}
