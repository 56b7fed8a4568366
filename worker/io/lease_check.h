/* Is a lease what it says? */
#ifndef TRIAD_LEASE_CHECK_H
#define TRIAD_LEASE_CHECK_H

#include "err.h"
#include "vocab.h"

/* A job's identity is the digest of its spec, so another spec would be another experiment under
 * this one's name; and the names of inputs and parents become folders, so they must be plain ones.
 * ERR_CORRUPT or ERR_INVALID otherwise. */
NODISCARD enum err_code lease_check(const struct msg_lease *lease, struct err *err);

#endif
