/* The set of leases that a worker holds, as a count and one digest: the XOR over its members of the
 * four words of the job's identity, each mixed with epoch and state. It does not depend on the
 * order, and a member comes or goes without a look at the others, so that the coordinator keeps it
 * up to date with every lease instead of making it anew at every beat (docs/protocol.md section 2).
 * An identity is a BLAKE2b digest already: hashing it once more would cost 0.8 us a job and guard
 * against nothing but a worker that picks its members, which could as well list what it does not
 * hold, and reaches no further than its own leases. */
#ifndef TRIAD_HELD_SET_H
#define TRIAD_HELD_SET_H

#include "vocab.h"

/* A member is in the set at most once: adding it again would take it out. */
void held_set_add(struct held_set *set, const struct lease_key *lease, enum held_state state);
void held_set_remove(struct held_set *set, const struct lease_key *lease, enum held_state state);
bool held_set_equal(const struct held_set *a, const struct held_set *b);

#endif
