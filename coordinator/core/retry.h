/* What happens after an attempt that did not commit: docs/protocol.md section 3, "Failure". */
#ifndef TRIAD_RETRY_H
#define TRIAD_RETRY_H

#include "core_state.h"

enum retry_verdict {
    RETRY_AGAIN,
    RETRY_GIVE_UP,    /* the job failed */
    RETRY_QUARANTINE, /* it fails in the same way wherever it runs */
};

/* How an attempt ended, as its worker or the coordinator tells it. */
struct retry_end {
    enum outcome outcome;
    const char *reason;              /* one sentence */
    const struct msg_result *result; /* what the worker said; NULL when it said nothing */
};

/* Is this failure as likely the host's as the job's? */
bool retry_blames_host(const struct retry_end *end);

/* Book the end of an attempt on the job's budgets and say what follows. On RETRY_GIVE_UP and
 * RETRY_QUARANTINE, `why_out` (never NULL) is the sentence that ends the job. */
enum retry_verdict retry_decide(struct core *core, struct job *job, const struct worker *worker,
                                const struct retry_end *end, const char **why_out);
/* The attempt has got somewhere: what cost no budget before is forgotten, so that a long training
 * on workers that come and go is not given up while it advances. */
void retry_advanced(struct job *job);

/* Milliseconds until the next attempt of a job whose attempt has just been booked; 0: at once. */
int64_t retry_backoff_ms(const struct core *core, const struct job *job);
/* What a job asks for after its failures for want of memory. */
uint64_t retry_memory_bytes(uint64_t asked, const struct terms *terms, uint64_t failures);

/* The interned terms of a job; a policy of zeros becomes the default one. */
const struct terms *terms_of(struct core *core, const struct retry_policy *retry,
                             const char *labels, uint32_t time_limit_s, uint32_t ranks);

#endif
