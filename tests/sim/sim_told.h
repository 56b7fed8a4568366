/* What sim_told.c and sim_beat.c share: a step of the core that a worker's frame caused. */
#ifndef TRIAD_SIM_TOLD_H
#define TRIAD_SIM_TOLD_H

#include "sim.h"

struct step {
    const struct sim_frame *frame;
    int name_index; /* of the worker that spoke */
    size_t first_op, first_send;
};

/* What this step sends to the speaker: of this kind and about this lease (NULL: of a kind that is
 * about none). NULL: nothing. */
const struct msg *sim_told_answer(const struct sim *s, const struct step *step, enum msg_kind kind,
                                  const struct lease_key *lease);
bool sim_told_session_is_current(const struct sim *s, const struct step *step, uint64_t session);
/* Does `state` say that the speaker holds this epoch? */
bool sim_told_is_holder(const struct sim *s, const struct step *step,
                        const struct core_job_state *state, uint32_t epoch);
bool sim_told_is_current(const struct sim *s, const struct step *step,
                         const struct lease_key *lease);
/* What a new process of a worker does not list is lost at once; what the same process does not
 * list is sent again: at HELLO, and in a list of a heartbeat once the lease is older than two
 * beats. */
void sim_told_check_unlisted(struct sim *s, const struct step *step, const struct held_lease *held,
                             size_t held_count, bool new_process, int64_t younger_than_ms);

/* ---- sim_beat.c ---- */
void sim_beat_check(struct sim *s, const struct step *step, const struct msg_heartbeat *m);

#endif
