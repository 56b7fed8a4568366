/* Workers and their sessions: docs/protocol.md section 2. */
#ifndef TRIAD_SESSION_H
#define TRIAD_SESSION_H

#include "core_state.h"

/* HELLO: who is there, what it holds, and what of that still stands. */
void session_hello(struct core *core, const struct msg_hello *hello);
/* The live worker behind a message's session on the event's connection. NULL after NO_SESSION has
 * been answered. */
struct worker *session_find(struct core *core, uint64_t session);
void session_heartbeat(struct core *core, struct worker *worker,
                       const struct msg_heartbeat *heartbeat);
/* The worker leaves by its own will. */
void session_bye(struct core *core, struct worker *worker);
/* The connection is gone: until the worker says HELLO on another, nothing reaches it. */
void session_peer_gone(struct core *core, uint64_t peer);
/* A worker has been silent for too long: no new leases; the old ones run out by themselves. */
void session_silent(struct core *core, struct worker *worker);
/* A person wants the worker to finish what it holds and leave, or its host to work again. False
 * when there is no such worker. */
bool session_drain(struct core *core, const struct core_drain *drain);

/* A worker that a stored row names; it has no session until it says HELLO. */
struct worker *worker_known(struct core *core, const char *name);
/* After a change of its threads, or of how many are busy. */
void worker_note_room(struct core *core, const struct worker *worker);
/* The worker shares this host's cores from now on. */
void worker_move(struct core *core, struct worker *worker, const char *host);
/* The job whose artifact the worker now holds warm. */
void worker_set_spot(struct core *core, struct worker *worker, const struct digest *job);
/* How many workers hold this job's artifact warm? */
size_t worker_spot_count(const struct core *core, const struct digest *job);

#endif
