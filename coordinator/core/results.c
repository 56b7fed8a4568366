#include "results.h"

#include "lease.h"
#include "streams.h"

static void acknowledge(struct core *core, const struct worker *worker,
                        const struct lease_key *lease)
{
    struct msg *m = output_send(core, worker->peer, MSG_RESULT_ACK);
    m->result_ack = (struct msg_result_ack){.session = worker->session, .lease = *lease};
}

/* A result about an attempt that is over: if it ended by this very result, its acknowledgement was
 * lost and is repeated; otherwise nobody wants it any more. */
static void answer_late(struct core *core, const struct worker *worker,
                        const struct core_message *message)
{
    const struct msg_result *result = &message->msg->result;
    const struct job *job = digest_map_get(&core->jobs, &result->lease.job);
    const struct core_job_state *final = message->final;
    bool repeated = (job != NULL && job->attempt == NULL && job->epoch == result->lease.epoch &&
                     job->outcome == result->outcome) ||
                    (job == NULL && final != NULL && final->epoch == result->lease.epoch &&
                     final->outcome == result->outcome);
    if (repeated) {
        acknowledge(core, worker, &result->lease);
    } else {
        lease_refuse(core, worker->session, &result->lease, "the attempt is not current");
    }
}

/* Ask for the batches that the store does not have. False when none is missing. */
static bool ask_for_missing(struct core *core, const struct job *job,
                            const struct msg_result *result)
{
    bool missing = false;
    for (int s = 0; s < STREAM_COUNT; s++) {
        if (job->attempt->next[s] < result->batches[s]) {
            streams_ack(core, job, (enum stream_kind)s);
            missing = true;
        }
    }
    return missing;
}

static struct digest records_digest(const struct attempt *attempt)
{
    struct digest none = {{0}};
    if (attempt->next[STREAM_RECORDS] == 0) {
        return none;
    }
    struct hash_state state = attempt->records;
    return hash_final(&state);
}

/* What in a successful result contradicts the store or the plan; NULL when nothing does. */
static const char *contradiction(struct core *core, const struct job *job,
                                 const struct core_message *message)
{
    const struct msg_result *result = &message->msg->result;
    const struct attempt *attempt = job->attempt;
    for (int s = 0; s < STREAM_COUNT; s++) {
        if (attempt->next[s] != result->batches[s]) {
            return output_printf(core, "the result counts %u batches of %s, the store has %u",
                                 result->batches[s], stream_kind_name((enum stream_kind)s),
                                 attempt->next[s]);
        }
    }
    if (result->items != attempt->items) {
        return output_printf(core, "the result counts %llu records, the store has %llu",
                             (unsigned long long)result->items, (unsigned long long)attempt->items);
    }
    if (job->items_expected != 0 && result->items != job->items_expected) {
        return output_printf(core, "the result has %llu records, the plan wants %llu",
                             (unsigned long long)result->items,
                             (unsigned long long)job->items_expected);
    }
    struct digest stored = records_digest(attempt);
    if (!digest_equal(&stored, &result->records)) {
        return "the digest of the stored records is not the one in the result";
    }
    if (job->kind != JOB_EVALUATE && digest_is_none(&result->artifact)) {
        return "the result names no artifact";
    }
    if (!digest_is_none(&result->artifact) && !message->tree_is_stored) {
        return "the artifact is not in the store";
    }
    return NULL;
}

static void take_success(struct core *core, struct worker *worker, struct job *job,
                         const struct core_message *message)
{
    const struct msg_result *result = &message->msg->result;
    if (ask_for_missing(core, job, result)) {
        return;
    }
    const char *wrong = contradiction(core, job, message);
    if (wrong == NULL) {
        lease_commit(core, job, result);
    } else {
        lease_end(core, job, OUTCOME_INVALID, output_printf(core, "invalid: %s", wrong), result);
    }
    acknowledge(core, worker, &result->lease);
}

void results_take(struct core *core, struct worker *worker, const struct core_message *message)
{
    const struct msg_result *result = &message->msg->result;
    struct job *job = lease_find(core, worker, &result->lease);
    if (job == NULL) {
        answer_late(core, worker, message);
        return;
    }
    lease_started(core, job);
    if (result->outcome == OUTCOME_OK) {
        take_success(core, worker, job, message);
        return;
    }
    /* "Lost" is the coordinator's own word. */
    enum outcome outcome = result->outcome == OUTCOME_LOST ? OUTCOME_CRASHED : result->outcome;
    lease_end(core, job, outcome, result->reason, result);
    acknowledge(core, worker, &result->lease);
}
