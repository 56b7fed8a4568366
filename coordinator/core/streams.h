/* What an attempt delivers while it runs: docs/protocol.md section 3. */
#ifndef TRIAD_STREAMS_H
#define TRIAD_STREAMS_H

#include "core_state.h"

void streams_started(struct core *core, struct worker *worker, const struct msg_started *started);
/* One batch: stored if it is the next of its stream; answered with how far the store has got. */
void streams_batch(struct core *core, struct worker *worker, const struct core_message *message);
/* A resume point whose tree is in the store. */
void streams_checkpoint(struct core *core, struct worker *worker,
                        const struct core_message *message);
/* "Everything of this stream below next is durable." */
void streams_ack(struct core *core, const struct job *job, enum stream_kind stream);

#endif
