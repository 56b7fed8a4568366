/* What the files that answer clients share: an act is part of a turn, which its answer waits for
 * (turn_reply()); a question is answered at once. */
#ifndef TRIAD_CLIENT_REQUEST_H
#define TRIAD_CLIENT_REQUEST_H

#include "server_state.h"

struct request {
    struct server *server;
    uint64_t peer;
    const struct msg *msg;
    const uint8_t *frame; /* an act's */
    size_t frame_len;
    struct arena *arena; /* a question's: for its answer */
    struct msg *reply;   /* a question's: to be filled in */
};

/* Answer a request; an error is answered by the caller. */
typedef enum err_code request_f(const struct request *r, struct err *err);

/* client_questions.c: by kind of message; a viewer may ask all of them. */
extern request_f *const client_questions[MSG_KIND_COUNT];
/* client_acts.c: what changes jobs, experiments and workers, and what takes long. */
request_f client_act, client_drain_worker, client_backup, client_gc;

#endif
