#include "retry.h"

#include <string.h>

#include "check.h"

static const struct {
    bool final;          /* trying again would give the same */
    bool free;           /* not the job's fault: costs no attempt of the budget */
    bool quarantines;    /* the same on two distinct workers is the job's fault */
    bool same_by_reason; /* two failures are the same only if the sentences are */
} rules[OUTCOME_COUNT] = {
    [OUTCOME_FAILED] = {.quarantines = true, .same_by_reason = true},
    [OUTCOME_DIVERGED] = {.final = true},
    [OUTCOME_CRASHED] = {.quarantines = true, .same_by_reason = true},
    [OUTCOME_MEMORY] = {.quarantines = true}, /* its sentence quotes sizes */
    [OUTCOME_CANCELLED] = {.free = true},
    [OUTCOME_LOST] = {.free = true},
};

/* Equal for equal failures, never 0. */
static uint64_t failure_digest(enum outcome outcome, const char *reason)
{
    struct hash_state state;
    hash_init(&state);
    const uint8_t kind = (uint8_t)outcome;
    hash_update(&state, &kind, 1);
    if (rules[outcome].same_by_reason) {
        hash_update(&state, reason, strlen(reason));
    }
    struct digest d = hash_final(&state);
    return digest_number(&d) | 1;
}

static enum retry_verdict decide_free(struct core *core, struct job *job, enum outcome outcome,
                                      const char *reason, const char **why_out)
{
    job->attempts_free++;
    if (job->attempts_free < core->options.free_attempts_max) {
        return RETRY_AGAIN;
    }
    *why_out =
        output_printf(core, "gave up after %u attempts that were lost or cancelled, last: %s%s%s",
                      job->attempts_free, outcome_name(outcome), *reason ? ": " : "", reason);
    return RETRY_GIVE_UP;
}

enum retry_verdict retry_decide(struct core *core, struct job *job, const struct worker *worker,
                                enum outcome outcome, const char *reason, const char **why_out)
{
    ASSERT(outcome != OUTCOME_OK && outcome < OUTCOME_COUNT);
    job->outcome = outcome;
    *why_out = reason;
    if (rules[outcome].free) {
        return decide_free(core, job, outcome, reason, why_out);
    }
    job->attempts_spent++;
    uint64_t failure = failure_digest(outcome, reason);
    bool same_elsewhere =
        job->failure_digest == failure && job->failure_worker != worker->name_digest;
    job->failure_digest = failure;
    job->failure_worker = worker->name_digest;
    if (*reason == '\0') {
        *why_out = outcome_name(outcome);
    }
    if (rules[outcome].final) {
        *why_out =
            output_printf(core, "%s%s%s", outcome_name(outcome), *reason ? ": " : "", reason);
        return RETRY_GIVE_UP;
    }
    if (rules[outcome].quarantines && same_elsewhere) {
        *why_out = output_printf(core, "failed in the same way on two workers: %s", *why_out);
        return RETRY_QUARANTINE;
    }
    return job->attempts_spent < job->attempts_max ? RETRY_AGAIN : RETRY_GIVE_UP;
}

/* Doubling from backoff_ms_min, of which a uniform half is jitter so that jobs that failed together
 * do not come back together. A function of (seed, job, epoch): no order of draws to preserve. */
int64_t retry_backoff_ms(const struct core *core, const struct job *job)
{
    if (rules[job->outcome].free) {
        return 0;
    }
    uint64_t limit = core->options.backoff_ms_max;
    uint64_t full = core->options.backoff_ms_min;
    for (uint32_t i = 1; i < job->attempts_spent && full < limit; i++) {
        full *= 2;
    }
    full = full < limit ? full : limit;
    struct rng rng = rng_child(&core->rng, "backoff", job->order);
    rng = rng_child(&rng, "epoch", job->epoch);
    return (int64_t)(full / 2 + rng_below(&rng, full / 2 + 1));
}
