/* A worker's cache as other workers may read it: a ROUTER with CURVE and ZAP of its own, with a
 * server key made at start. It serves whole blobs of the cache by their digest and nothing else;
 * who may ask is the coordinator's list of workers' keys, and nobody before that list came.
 *
 * Bounds: BLOB_SERVE_UPLOADS_MAX readers at once (others hear ERR_UNAVAILABLE and go elsewhere), a
 * short send queue for each (net_router_options.queue_frames), one descriptor for each. */
#ifndef TRIAD_BLOB_SERVE_H
#define TRIAD_BLOB_SERVE_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "hash.h"
#include "net.h"

#define BLOB_SERVE_UPLOADS_MAX 4

struct blob_serve;

struct blob_serve_options { /* all borrowed during the call */
    struct net *net;
    uv_loop_t *loop;
    const char *cache;
    const char *listen;    /* HOST or HOST:PORT to bind; without PORT the kernel picks */
    const char *advertise; /* how others reach it: HOST or HOST:PORT. NULL: as bound, or this
                              machine's name when that is all addresses */
};
NODISCARD enum err_code blob_serve_new(const struct blob_serve_options *options,
                                       struct blob_serve **out, struct err *err);
/* Before net_free(). */
void blob_serve_free(struct blob_serve *serve);

const char *blob_serve_endpoint(const struct blob_serve *serve); /* advertised; borrowed */
struct digest blob_serve_key(const struct blob_serve *serve);    /* 32 bytes of a CURVE key */
uint64_t blob_serve_bytes(const struct blob_serve *serve);       /* sent so far */

/* From now on exactly these keys (32 bytes each) may read. */
void blob_serve_allow(struct blob_serve *serve, const struct digest *keys, size_t count);

#endif
