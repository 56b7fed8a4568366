/* What happens after an attempt that did not commit: docs/protocol.md section 3, "Failure". */
#ifndef TRIAD_RETRY_H
#define TRIAD_RETRY_H

#include "core_state.h"

enum retry_verdict {
    RETRY_AGAIN,
    RETRY_GIVE_UP,    /* the job failed */
    RETRY_QUARANTINE, /* it fails in the same way wherever it runs */
};

/* Book the end of an attempt on the job's budgets and say what follows. `reason` is the worker's
 * sentence. On RETRY_GIVE_UP, `why_out` (never NULL) is the sentence that ends the job. */
enum retry_verdict retry_decide(struct core *core, struct job *job, const struct worker *worker,
                                enum outcome outcome, const char *reason, const char **why_out);

/* Milliseconds until the next attempt of a job whose attempt has just been booked; 0: at once. */
int64_t retry_backoff_ms(const struct core *core, const struct job *job);

#endif
