/* The coordinator process: three ROUTER sockets, the core, the store and the artifacts on one libuv
 * loop. A loop turn takes frames into the core, commits what it decided in one transaction, and
 * only then sends what it said (docs/protocol.md section 1). */
#ifndef TRIAD_SERVER_H
#define TRIAD_SERVER_H

#include <uv.h>

#include "core.h"
#include "err.h"

struct server;

struct server_options {
    const char *state_dir;
    const char *listen;    /* address to bind, "127.0.0.1" */
    const char *advertise; /* HOST or HOST:PORT for the access files: PORT, PORT + 1 and PORT + 2
                              lead to workers', clients' and blobs' socket. NULL: as bound */
    uint16_t worker_port, client_port, data_port; /* 0: the kernel picks */
    const char *keys_dir;                         /* looked at again every second */
    const char *shared_store; /* folder for blobs that workers see, too; NULL: in the state */
    struct core_options core; /* boot is set by the server; zeros are the defaults */
    const char *version;
};

/* Open the state, bind the sockets, write client.access and worker.access. Keys are read from
 * `keys_dir`, which must have been made. */
NODISCARD enum err_code server_new(uv_loop_t *loop, const struct server_options *options,
                                   struct server **out, struct err *err);
/* Finish the turn, close everything; the loop then runs out of handles. Safe to call twice. */
void server_stop(struct server *server);
/* After the loop has ended. ERR_OK, or what made the server stop by itself. */
NODISCARD enum err_code server_free(struct server *server, struct err *err);

#endif
