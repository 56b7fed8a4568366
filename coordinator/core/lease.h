/* Leases: a worker's right to an attempt, fenced by the epoch (docs/protocol.md section 1). */
#ifndef TRIAD_LEASE_H
#define TRIAD_LEASE_H

#include "core_state.h"

/* Begin attempt number epoch + 1 of a startable job on `worker`. */
void lease_grant(struct core *core, struct job *job, struct worker *worker);
/* A loaded job takes up the attempt that its row says is held. */
void lease_restore(struct core *core, struct job *job, struct worker *worker,
                   const uint32_t next[STREAM_COUNT], int64_t now_ms);
/* Its time starts when loading is over. */
void lease_begin_again(struct core *core, struct job *job, int64_t now_ms);
/* The worker has said how much memory it has: after a restart, that was not known. */
void lease_measure(struct worker *worker);
/* Say it (again); the worker ignores what it already holds. */
void lease_send(struct core *core, const struct job *job);

/* The fence: the job whose current attempt is `key` and runs on `worker`, or NULL. */
struct job *lease_find(struct core *core, const struct worker *worker, const struct lease_key *key);
/* The worker listed it: it runs on for lease_ms from now. */
void lease_renew(struct core *core, struct job *job, enum held_state state);
/* The worker proved, by its digest, that it holds just the leases it should: all run on. What that
 * means for each is only worked out when its timer fires. */
void lease_renew_all(struct core *core, struct worker *worker);
/* The timer of a held job has fired: its time is over, or it is looked at again later. */
void lease_expire(struct core *core, struct job *job);
/* The worker said or showed that the attempt has started. */
void lease_started(struct core *core, struct job *job);

/* The attempt's result stands: the job is done. */
void lease_commit(struct core *core, struct job *job, const struct msg_result *result);
/* The attempt ends without committing; policy says what becomes of the job. `result` is what the
 * worker said, or NULL. */
void lease_end(struct core *core, struct job *job, enum outcome outcome, const char *reason,
               const struct msg_result *result);
/* A person ended it: the worker is told, the job is cancelled. Returns how many jobs ended by it.
 */
uint64_t lease_cancel(struct core *core, struct job *job, const char *reason);

/* Tell whoever sent the event's message that `key` is not theirs (any more). */
void lease_refuse(struct core *core, uint64_t session, const struct lease_key *key,
                  const char *reason);

#endif
