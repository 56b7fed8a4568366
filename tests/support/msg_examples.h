/* At least one fully populated message of every kind: for round trips, fuzz seeds, hostile peers.
 */
#ifndef TRIAD_MSG_EXAMPLES_H
#define TRIAD_MSG_EXAMPLES_H

#include <stddef.h>

#include "vocab.h"

/* `*count_out` messages in the order of MSG_KINDS, then edge cases; constant. */
const struct msg *msg_examples(size_t *count_out);

#endif
