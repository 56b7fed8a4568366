/* A job's life. One table says which state may follow which; one function moves.
 *
 *              +-----------------------------+ an attempt ends without committing
 *              v                             |
 *   new --> waiting --> leased --> running --+--> done
 *              |           |          |      |
 *              |           +----------+------+--> failed, quarantined
 *              +-----------+----------+---------> cancelled (by a person)
 *              +--------------------------------> aborted (a parent ended without success)
 *   failed, cancelled, aborted, quarantined --> waiting: queued again by a person
 *
 * waiting  no attempt. Startable (in the ready set) when no parent is missing and no back-off runs.
 * leased   an attempt exists, its epoch is durable; the worker has not said that it started.
 * running  it did.
 * final    leaves memory at the end of the step; only the store knows it from then on. */
#ifndef TRIAD_JOB_H
#define TRIAD_JOB_H

#include "core_state.h"

/* May `to` follow `from`? */
bool job_may_follow(enum job_state from, enum job_state to);

/* A job from its row, waiting or held as the row says, in the table of jobs but without its
 * parents (job_link). NULL when the identity is taken. */
struct job *job_new(struct core *core, const struct core_job_row *row, const struct claim *claim);
/* Find the parents: unfinished ones in memory, others as the row gave them. False when one is
 * neither (then `missing_out` names it). */
bool job_link(struct core *core, struct job *job, const struct parent_link **missing_out);
/* A parent that ended without success, or NULL; and the sentence that aborts its child. */
const struct parent_link *job_unsuccessful_parent(const struct job *job);
const char *job_abort_reason(struct core *core, const struct parent_link *link);

/* The only place where a state changes; ASSERTs the table. */
void job_move(struct core *core, struct job *job, enum job_state to);
/* End a job: final state and the sentence that says why. Children become startable (done) or are
 * aborted. The attempt, if any, has ended before. Returns how many jobs ended by it in all. */
uint64_t job_finish(struct core *core, struct job *job, enum job_state state, const char *reason);
/* Waiting: enter the ready set if nothing is missing; otherwise leave it. */
void job_settle(struct core *core, struct job *job);
/* Others want it from now on. */
void job_set_claim(struct core *core, struct job *job, const struct claim *claim);
/* Its durable row is to be written at the end of the step. */
void job_changed(struct core *core, struct job *job);
/* Write the rows of all changed jobs, in order of change, and forget the final ones. */
void job_flush_changes(struct core *core);

/* ASSERT what the diagram promises. */
void job_check(const struct job *job);

#endif
