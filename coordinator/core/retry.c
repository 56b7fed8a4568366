#include "retry.h"

#include <string.h>

#include "check.h"
#include "core_memory.h"

/* Failures that say nothing about the job cost no attempt of its budget. Default policy: the budget
 * alone limits the others. */
static const struct {
    bool free;           /* not the job's fault */
    bool quarantines;    /* the same on two distinct workers is the job's fault */
    bool same_by_reason; /* two failures are the same only if the sentences are */
    bool blames_host;    /* different jobs failing so on one host is the host's fault */
} classes[FAILURE_CLASS_COUNT] = {
    [FAILURE_ERROR] = {.quarantines = true, .same_by_reason = true},
    [FAILURE_EXIT] = {.quarantines = true, .same_by_reason = true, .blames_host = true},
    [FAILURE_SIGNAL] = {.quarantines = true, .same_by_reason = true, .blames_host = true},
    [FAILURE_MEMORY] = {.quarantines = true}, /* its sentence quotes sizes */
    [FAILURE_TIMEOUT] = {.quarantines = false},
    [FAILURE_LOST] = {.free = true},
    [FAILURE_PREEMPTED] = {.free = true},
    [FAILURE_INVALID] = {.quarantines = true, .same_by_reason = true, .blames_host = true},
};

/* The class that the policy counts it under. */
static enum failure_class retry_class(const struct retry_end *end)
{
    static const enum failure_class of[OUTCOME_COUNT] = {
        [OUTCOME_FAILED] = FAILURE_ERROR,        [OUTCOME_DIVERGED] = FAILURE_ERROR,
        [OUTCOME_CRASHED] = FAILURE_EXIT,        [OUTCOME_MEMORY] = FAILURE_MEMORY,
        [OUTCOME_CANCELLED] = FAILURE_PREEMPTED, [OUTCOME_LOST] = FAILURE_LOST,
        [OUTCOME_TIMEOUT] = FAILURE_TIMEOUT,     [OUTCOME_PREEMPTED] = FAILURE_PREEMPTED,
        [OUTCOME_INVALID] = FAILURE_INVALID,
    };
    ASSERT(end->outcome != OUTCOME_OK && end->outcome < OUTCOME_COUNT);
    const bool by_signal =
        end->outcome == OUTCOME_CRASHED && end->result != NULL && end->result->exit_signal != 0;
    return by_signal ? FAILURE_SIGNAL : of[end->outcome];
}

bool retry_blames_host(const struct retry_end *end)
{
    return end->outcome != OUTCOME_DIVERGED && classes[retry_class(end)].blames_host;
}

/* ---- counting by class: a byte each, that stops at 255 ---- */

static uint32_t failures_of(uint64_t failures, enum failure_class class)
{
    return (failures >> (8 * (unsigned)class)) & 0xff;
}

static void count_failure(struct job *job, enum failure_class class)
{
    if (failures_of(job->failures, class) < RETRY_AGAIN_MAX) {
        job->failures += (uint64_t)1 << (8 * (unsigned)class);
    }
}

void retry_advanced(struct job *job)
{
    job->attempts_free = 0;
    for (int c = 0; c < FAILURE_CLASS_COUNT; c++) {
        if (classes[c].free) {
            job->failures &= ~((uint64_t)0xff << (8 * (unsigned)c));
        }
    }
}

/* Beyond this nothing grows: no machine has it, and the number still fits. */
#define GROWN_MAX 1e17

uint64_t retry_memory_bytes(uint64_t asked, const struct terms *terms, uint64_t failures)
{
    double grown = (double)asked;
    for (uint32_t i = failures_of(failures, FAILURE_MEMORY); i > 0 && grown < GROWN_MAX; i--) {
        grown *= 1.0 + terms->retry.memory_growth_percent / 100.0;
    }
    grown = grown < GROWN_MAX ? grown : GROWN_MAX;
    return grown > (double)asked ? (uint64_t)grown : asked;
}

/* ---- the verdict ---- */

/* Equal for equal failures, never 0. */
static uint64_t failure_digest(const struct retry_end *end)
{
    struct hash_state state;
    hash_init(&state);
    const uint8_t kind = (uint8_t)end->outcome;
    hash_update(&state, &kind, 1);
    if (classes[retry_class(end)].same_by_reason) {
        hash_update(&state, end->reason, strlen(end->reason));
    }
    struct digest d = hash_final(&state);
    return digest_number(&d) | 1;
}

static const char *sentence(struct core *core, const struct retry_end *end)
{
    return *end->reason == '\0' ? outcome_name(end->outcome) : output_text(core, end->reason);
}

static enum retry_verdict decide_free(struct core *core, struct job *job,
                                      const struct retry_end *end, const char **why_out)
{
    job->attempts_free++;
    if (job->attempts_free < core->options.free_attempts_max) {
        return RETRY_AGAIN;
    }
    *why_out = output_printf(
        core,
        "gave up after %u attempts without a checkpoint that were lost or given back, last: "
        "%s%s%s",
        job->attempts_free, outcome_name(end->outcome), *end->reason ? ": " : "", end->reason);
    return RETRY_GIVE_UP;
}

/* What a person needs to judge a quarantine. */
static const char *evidence(struct core *core, const struct worker *worker,
                            const struct retry_end *end, const char *why)
{
    const struct msg_result *r = end->result;
    if (r == NULL) {
        return output_printf(core, "failed in the same way on two workers: %s", why);
    }
    return output_printf(core,
                         "failed in the same way on two workers: %s (%s, signal %u, exit code %d, "
                         "memory peak %llu MiB, last on worker %s of node %s)",
                         why, failure_class_name(retry_class(end)), r->exit_signal, r->exit_code,
                         (unsigned long long)(r->memory_peak_bytes >> 20), worker->name,
                         *worker->node ? worker->node : "unknown");
}

static enum retry_verdict decide_spent(struct core *core, struct job *job,
                                       const struct worker *worker, const struct retry_end *end,
                                       const char **why_out)
{
    job->attempts_spent++;
    uint64_t failure = failure_digest(end);
    bool same_elsewhere =
        job->failure_digest == failure && job->failure_worker != worker->name_digest;
    job->failure_digest = failure;
    job->failure_worker = worker->name_digest;
    if (end->outcome == OUTCOME_DIVERGED) { /* trying again would give the same */
        *why_out = output_printf(core, "%s%s%s", outcome_name(end->outcome),
                                 *end->reason ? ": " : "", end->reason);
        return RETRY_GIVE_UP;
    }
    if (classes[retry_class(end)].quarantines && same_elsewhere) {
        *why_out = evidence(core, worker, end, *why_out);
        return RETRY_QUARANTINE;
    }
    return job->attempts_spent < job->attempts_max ? RETRY_AGAIN : RETRY_GIVE_UP;
}

enum retry_verdict retry_decide(struct core *core, struct job *job, const struct worker *worker,
                                const struct retry_end *end, const char **why_out)
{
    const enum failure_class class = retry_class(end);
    job->outcome = end->outcome;
    *why_out = sentence(core, end);
    count_failure(job, class);
    job->memory_bytes = retry_memory_bytes(job->memory_asked, job->terms, job->failures);
    enum retry_verdict verdict = classes[class].free
                                     ? decide_free(core, job, end, why_out)
                                     : decide_spent(core, job, worker, end, why_out);
    const uint32_t again = job->terms->retry.again[class];
    if (verdict == RETRY_AGAIN && again < RETRY_AGAIN_MAX &&
        failures_of(job->failures, class) > again) {
        *why_out = output_printf(core, "%s (tried again %u times after '%s', as its policy says)",
                                 *why_out, again, failure_class_name(class));
        return RETRY_GIVE_UP;
    }
    return verdict;
}

/* Doubling from backoff_ms, of which a uniform half is jitter so that jobs that failed together do
 * not come back together. A function of (seed, job, epoch): no order of draws to preserve. */
int64_t retry_backoff_ms(const struct core *core, const struct job *job)
{
    if (job->outcome == OUTCOME_LOST || job->outcome == OUTCOME_CANCELLED ||
        job->outcome == OUTCOME_PREEMPTED) {
        return 0;
    }
    uint64_t limit = job->terms->retry.backoff_ms_max;
    uint64_t full = job->terms->retry.backoff_ms;
    for (uint32_t i = 1; i < job->attempts_spent && full < limit; i++) {
        full *= 2;
    }
    full = full < limit ? full : limit;
    struct rng rng = rng_child(&core->rng, "backoff", job->order);
    rng = rng_child(&rng, "epoch", job->epoch);
    return (int64_t)(full / 2 + rng_below(&rng, full / 2 + 1));
}

/* ---- terms ---- */

static bool is_unset(const struct retry_policy *retry)
{
    static const struct retry_policy unset;
    return memcmp(retry, &unset, sizeof unset) == 0;
}

static struct retry_policy with_defaults(const struct core *core, const struct retry_policy *retry)
{
    struct retry_policy policy = *retry;
    if (is_unset(retry)) {
        for (int c = 0; c < FAILURE_CLASS_COUNT; c++) {
            policy.again[c] = RETRY_AGAIN_MAX;
        }
        policy.memory_growth_percent = 50;
    }
    for (int c = 0; c < FAILURE_CLASS_COUNT; c++) {
        policy.again[c] = policy.again[c] < RETRY_AGAIN_MAX ? policy.again[c] : RETRY_AGAIN_MAX;
    }
    policy.backoff_ms = policy.backoff_ms != 0 ? policy.backoff_ms : core->options.backoff_ms_min;
    policy.backoff_ms_max =
        policy.backoff_ms_max != 0 ? policy.backoff_ms_max : core->options.backoff_ms_max;
    return policy;
}

const struct terms *terms_of(struct core *core, const struct retry_policy *retry,
                             const char *labels, uint32_t time_limit_s, uint32_t ranks)
{
    const struct retry_policy policy = with_defaults(core, retry);
    labels = labels != NULL ? labels : "";
    ranks = ranks > 1 ? ranks : 1;
    for (size_t i = core->terms_count; i > 0; i--) {
        const struct terms *t = core->terms[i - 1];
        if (memcmp(&t->retry, &policy, sizeof policy) == 0 && strcmp(t->labels, labels) == 0 &&
            t->time_limit_s == time_limit_s && t->ranks == ranks) {
            return t;
        }
    }
    struct terms *t = core_memory_array(1, sizeof *t);
    *t = (struct terms){.retry = policy,
                        .labels = core_memory_text(labels),
                        .time_limit_s = time_limit_s,
                        .ranks = ranks};
    core->terms = core_memory_grow(core->terms, core->terms_count + 1, sizeof(struct terms *));
    core->terms[core->terms_count++] = t;
    return t;
}
