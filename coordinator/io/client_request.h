/* What the files that answer clients share. */
#ifndef TRIAD_CLIENT_REQUEST_H
#define TRIAD_CLIENT_REQUEST_H

#include "server_state.h"

struct request {
    struct server *server;
    uint64_t peer;
    const struct msg *msg;
    const uint8_t *frame;
    size_t frame_len;
};

/* Answer a request; an error is answered by the caller. */
typedef enum err_code request_f(const struct request *r, struct err *err);

/* client_acts.c: what changes jobs, experiments and workers, and what takes long. */
request_f client_act, client_drain_worker, client_explain_job, client_backup, client_gc;

#endif
