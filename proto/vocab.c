#include "vocab.h"

#include "check.h"

#define NAME_FROM(names, value)                                                                    \
    ((size_t)(value) < ARRAY_COUNT(names) && (names)[value] ? (names)[value] : "unknown")

const char *msg_kind_name(enum msg_kind kind)
{
    static const char *const names[] = {[MSG_NONE] = "none",
#define X(KIND, field, sender) [MSG_##KIND] = #field,
                                        MSG_KINDS(X)
#undef X
    };
    return NAME_FROM(names, kind);
}

const char *job_kind_name(enum job_kind kind)
{
    static const char *const names[] = {
        [JOB_IMPORT] = "import",     [JOB_PRETRAIN] = "pretrain", [JOB_INSTRUCT] = "instruct",
        [JOB_SPECTRUM] = "spectrum", [JOB_EVALUATE] = "evaluate",
    };
    _Static_assert(ARRAY_COUNT(names) == JOB_KIND_COUNT, "every kind has a name");
    return NAME_FROM(names, kind);
}

const char *job_state_name(enum job_state state)
{
    static const char *const names[] = {
        [JOB_WAITING] = "waiting", [JOB_LEASED] = "leased",           [JOB_RUNNING] = "running",
        [JOB_DONE] = "done",       [JOB_FAILED] = "failed",           [JOB_CANCELLED] = "cancelled",
        [JOB_ABORTED] = "aborted", [JOB_QUARANTINED] = "quarantined",
    };
    _Static_assert(ARRAY_COUNT(names) == JOB_STATE_COUNT, "every state has a name");
    return NAME_FROM(names, state);
}

const char *outcome_name(enum outcome outcome)
{
    static const char *const names[] = {
        [OUTCOME_OK] = "ok",
        [OUTCOME_FAILED] = "failed",
        [OUTCOME_DIVERGED] = "diverged",
        [OUTCOME_CRASHED] = "crashed",
        [OUTCOME_MEMORY] = "memory",
        [OUTCOME_CANCELLED] = "cancelled",
        [OUTCOME_LOST] = "lost",
        [OUTCOME_TIMEOUT] = "timeout",
        [OUTCOME_PREEMPTED] = "preempted",
        [OUTCOME_INVALID] = "invalid",
    };
    _Static_assert(ARRAY_COUNT(names) == OUTCOME_COUNT, "every outcome has a name");
    return NAME_FROM(names, outcome);
}

const char *failure_class_name(enum failure_class class)
{
    static const char *const names[] = {
        [FAILURE_ERROR] = "error",         [FAILURE_EXIT] = "exit",
        [FAILURE_SIGNAL] = "signal",       [FAILURE_MEMORY] = "memory",
        [FAILURE_TIMEOUT] = "timeout",     [FAILURE_LOST] = "lost",
        [FAILURE_PREEMPTED] = "preempted", [FAILURE_INVALID] = "invalid",
    };
    _Static_assert(ARRAY_COUNT(names) == FAILURE_CLASS_COUNT, "every class has a name");
    return NAME_FROM(names, class);
}

const char *stream_kind_name(enum stream_kind kind)
{
    static const char *const names[] = {
        [STREAM_METRICS] = "metrics", [STREAM_RECORDS] = "records", [STREAM_LOG] = "log"};
    _Static_assert(ARRAY_COUNT(names) == STREAM_COUNT, "every stream has a name");
    return NAME_FROM(names, kind);
}

bool job_state_is_final(enum job_state state)
{
    return state >= JOB_DONE;
}
