#include "blob_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob_cache.h"
#include "bounds.h"
#include "check.h"
#include "codec.h"
#include "log.h"
#include "str.h"

/* A reader that is silent for so long has left, and another may have its place. */
#define UPLOAD_IDLE_MS 6000
/* Twice a reader's credit: what is more is dropped, and asked for again. */
#define SEND_QUEUE_FRAMES (2 * BLOB_CHUNKS_IN_FLIGHT)

/* Somebody who reads a blob. */
struct upload {
    struct net_peer peer;
    struct digest digest;
    int fd; /* -1: a free place */
    uint64_t total;
    int64_t used_ms;
};

struct blob_serve {
    struct net *net;
    uv_loop_t *loop;
    struct net_socket *router;
    char *cache;
    char endpoint[NAME_BYTES_MAX];
    struct digest key;
    struct digest *allowed;
    size_t allowed_count;
    struct upload uploads[BLOB_SERVE_UPLOADS_MAX];
    uint64_t bytes, refused;
    struct strbuf frame;
    uint8_t chunk[BLOB_CHUNK_BYTES];
};

/* ---- answering ---- */

static bool answer(struct blob_serve *serve, const struct net_peer *peer, const struct msg *m)
{
    struct err err;
    strbuf_clear(&serve->frame);
    enum err_code rc = codec_encode(m, FRAME_DATA_BYTES_MAX, &serve->frame, &err);
    ASSERT(rc == ERR_OK);
    return net_router_send(serve->router, peer, serve->frame.data, serve->frame.len, &err) ==
           ERR_OK;
}

static void refuse(struct blob_serve *serve, const struct net_peer *peer, uint64_t request,
                   enum err_code code, const char *text)
{
    answer(serve, peer, &(struct msg){.kind = MSG_ERROR, .error = {request, code, text}});
}

static void upload_end(struct upload *upload)
{
    if (upload->fd >= 0)
        close(upload->fd);
    *upload = (struct upload){.fd = -1};
}

static bool is_same_peer(const struct net_peer *a, const struct net_peer *b)
{
    return a->len == b->len && memcmp(a->id, b->id, a->len) == 0;
}

/* The reader's place, or a free one, or that of one that left; NULL: all are taken. */
static struct upload *place_for(struct blob_serve *serve, const struct net_peer *peer)
{
    const int64_t now = (int64_t)uv_now(serve->loop);
    struct upload *free_place = NULL;
    for (size_t i = 0; i < BLOB_SERVE_UPLOADS_MAX; i++) {
        struct upload *u = &serve->uploads[i];
        if (u->fd >= 0 && is_same_peer(&u->peer, peer))
            return u;
        if (u->fd < 0 || now - u->used_ms >= UPLOAD_IDLE_MS)
            free_place = u;
    }
    return free_place;
}

/* Open the blob under its digest: the name cannot be another file's, and what is under it in the
 * cache is whole and was verified. */
static enum err_code upload_open(struct blob_serve *serve, struct upload *u,
                                 const struct net_peer *peer, const struct digest *digest,
                                 struct err *err)
{
    struct arena arena = {0};
    struct stat status;
    upload_end(u);
    int fd = open(blob_cache_path(serve->cache, digest, &arena),
                  O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    arena_release(&arena);
    if (fd < 0)
        return err_set(err, ERR_NOT_FOUND, "it is not in this cache any more");
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return err_set(err, ERR_NOT_FOUND, "it is no file");
    }
    (void)!futimens(fd, NULL); /* used: the cache keeps it for a while */
    *u = (struct upload){
        .peer = *peer, .digest = *digest, .fd = fd, .total = (uint64_t)status.st_size};
    return ERR_OK;
}

static void serve_chunk(struct blob_serve *serve, struct upload *u,
                        const struct msg_blob_read *read)
{
    if (read->offset > u->total) {
        refuse(serve, &u->peer, read->request, ERR_INVALID, "the offset is past its end");
        return;
    }
    ssize_t n = pread(u->fd, serve->chunk, sizeof serve->chunk, (off_t)read->offset);
    if (n < 0) {
        refuse(serve, &u->peer, read->request, ERR_IO, "it cannot be read");
        return;
    }
    const struct msg m = {.kind = MSG_BLOB_CHUNK,
                          .blob_chunk = {.request = read->request,
                                         .digest = read->digest,
                                         .offset = read->offset,
                                         .total = u->total,
                                         .crc32c = hash_crc32c(serve->chunk, (size_t)n),
                                         .data = {serve->chunk, (size_t)n}}};
    if (answer(serve, &u->peer, &m))
        serve->bytes += (uint64_t)n;
}

static void on_read(struct blob_serve *serve, const struct net_peer *peer,
                    const struct msg_blob_read *read)
{
    struct err err;
    struct upload *u = place_for(serve, peer);
    if (!u) {
        refuse(serve, peer, read->request, ERR_UNAVAILABLE, "busy with other readers");
        return;
    }
    const bool is_open =
        u->fd >= 0 && is_same_peer(&u->peer, peer) && digest_equal(&u->digest, &read->digest);
    enum err_code rc = is_open ? ERR_OK : upload_open(serve, u, peer, &read->digest, &err);
    if (rc != ERR_OK) {
        refuse(serve, peer, read->request, rc, err.text);
        return;
    }
    u->used_ms = (int64_t)uv_now(serve->loop);
    serve_chunk(serve, u, read);
}

static void say_refused(struct blob_serve *serve, const char *user, const struct err *err)
{
    const uint64_t count = ++serve->refused;
    if ((count & (count - 1)) == 0) /* 1, 2, 4 …: the log stays short */
        log_event(LOG_WARN, "frame_refused", "socket=serve user=%s refused=%llu error=\"%s\"", user,
                  (unsigned long long)count, err->text);
}

static void on_receive(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                       const uint8_t *bytes, size_t len)
{
    struct blob_serve *serve = ctx;
    struct arena arena;
    struct msg m;
    struct err err;
    (void)role;
    arena_init(&arena, DECODE_BUDGET_BYTES);
    enum err_code rc = codec_decode(bytes, len, "D", &arena, &m, &err);
    if (rc == ERR_OK && m.kind != MSG_BLOB_READ)
        rc = err_set(&err, ERR_DENIED, "a worker only answers BLOB_READ");
    if (rc == ERR_OK)
        on_read(serve, peer, &m.blob_read);
    else
        say_refused(serve, user, &err);
    arena_release(&arena);
}

/* ---- who may read ---- */

static bool is_in(const struct digest *list, size_t count, const struct digest *key)
{
    for (size_t i = 0; i < count; i++) {
        if (digest_equal(&list[i], key))
            return true;
    }
    return false;
}

void blob_serve_allow(struct blob_serve *serve, const struct digest *keys, size_t count)
{
    struct net_public_key key;
    for (size_t i = 0; i < serve->allowed_count; i++) {
        if (is_in(keys, count, &serve->allowed[i]))
            continue;
        net_public_key_from_raw(serve->allowed[i].bytes, &key);
        net_revoke(serve->net, &key);
    }
    for (size_t i = 0; i < count; i++) {
        struct err err;
        net_public_key_from_raw(keys[i].bytes, &key);
        if (net_allow(serve->net, &key, NET_WORKER, "worker", &err) != ERR_OK)
            log_event(LOG_WARN, "key_not_allowed", "error=\"%s\"", err.text);
    }
    free(serve->allowed);
    serve->allowed = calloc(count + 1, sizeof *keys);
    ASSERT(serve->allowed != NULL);
    if (count > 0)
        memcpy(serve->allowed, keys, count * sizeof *keys);
    serve->allowed_count = count;
}

/* ---- life ---- */

struct address {
    char host[128];
    char port[24]; /* empty: not said */
};

static enum err_code address_parse(const char *text, const char *option, struct address *out,
                                   struct err *err)
{
    long long port = 0;
    *out = (struct address){0};
    if (!str_host_port(text, out->host, sizeof out->host, &port))
        return err_set(err, ERR_INVALID, "--%s wants HOST or HOST:PORT, not '%s'", option, text);
    if (port > 0)
        snprintf(out->port, sizeof out->port, "%u", (unsigned)port & 0xffffU);
    return ERR_OK;
}

/* How others reach what was bound. */
static enum err_code advertise(struct blob_serve *serve, const struct address *listen,
                               const char *wish, struct err *err)
{
    struct address as = *listen;
    enum err_code rc = wish ? address_parse(wish, "advertise", &as, err) : ERR_OK;
    if (rc != ERR_OK)
        return rc;
    if (!wish && (strcmp(as.host, "0.0.0.0") == 0 || strcmp(as.host, "*") == 0) &&
        gethostname(as.host, sizeof as.host - 1) != 0)
        return err_os(err, errno, "find this machine's name");
    const char *bound = strrchr(net_endpoint(serve->router), ':') + 1;
    snprintf(serve->endpoint, sizeof serve->endpoint, "tcp://%s:%s", as.host,
             wish && as.port[0] ? as.port : bound);
    return ERR_OK;
}

static enum err_code open_router(struct blob_serve *serve, const struct blob_serve_options *options,
                                 struct err *err)
{
    struct address listen;
    struct net_key_pair server;
    char endpoint[256];
    enum err_code rc = address_parse(options->listen, "data-listen", &listen, err);
    if (rc != ERR_OK)
        return rc;
    snprintf(endpoint, sizeof endpoint, "tcp://%s:%s", listen.host,
             listen.port[0] ? listen.port : "*");
    net_key_pair_new(&server);
    const struct net_router_options router = {.endpoint = endpoint,
                                              .server = &server,
                                              .roles = NET_WORKER,
                                              .io = NET_IO_BULK,
                                              .frame_bytes_max = FRAME_DATA_BYTES_MAX,
                                              .frames_per_turn = 4 * BLOB_CHUNKS_IN_FLIGHT,
                                              .queue_frames = SEND_QUEUE_FRAMES,
                                              .receive = on_receive,
                                              .ctx = serve};
    rc = net_router_new(serve->net, &router, &serve->router, err);
    bool has_key = net_public_key_to_raw(&server.public_key, serve->key.bytes);
    ASSERT(has_key);
    explicit_bzero(&server, sizeof server);
    return rc == ERR_OK ? advertise(serve, &listen, options->advertise, err) : rc;
}

enum err_code blob_serve_new(const struct blob_serve_options *options, struct blob_serve **out,
                             struct err *err)
{
    struct blob_serve *serve = calloc(1, sizeof *serve);
    ASSERT(serve != NULL);
    serve->net = options->net;
    serve->loop = options->loop;
    serve->cache = strdup(options->cache);
    ASSERT(serve->cache != NULL);
    for (size_t i = 0; i < BLOB_SERVE_UPLOADS_MAX; i++)
        serve->uploads[i].fd = -1;
    enum err_code rc = open_router(serve, options, err);
    if (rc != ERR_OK) {
        blob_serve_free(serve);
        return rc;
    }
    *out = serve;
    return ERR_OK;
}

void blob_serve_free(struct blob_serve *serve)
{
    for (size_t i = 0; i < BLOB_SERVE_UPLOADS_MAX; i++)
        upload_end(&serve->uploads[i]);
    if (serve->router)
        net_socket_free(serve->router);
    strbuf_release(&serve->frame);
    free(serve->allowed);
    free(serve->cache);
    free(serve);
}

const char *blob_serve_endpoint(const struct blob_serve *serve)
{
    return serve->endpoint;
}

struct digest blob_serve_key(const struct blob_serve *serve)
{
    return serve->key;
}

uint64_t blob_serve_bytes(const struct blob_serve *serve)
{
    return serve->bytes;
}
