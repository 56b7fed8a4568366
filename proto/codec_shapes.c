/* How each record of vocab.h travels: one table, row by row beside it. */
#include "codec_shapes.h"

#include "bounds.h"
#include "check.h"
#include "triad.pb-c.h"

_Static_assert((int)TRIAD__JOB_KIND__EVALUATE == JOB_KIND_COUNT - 1, "triad.proto is complete");
_Static_assert((int)TRIAD__JOB_STATE__QUARANTINED == JOB_STATE_COUNT - 1,
               "triad.proto is complete");
_Static_assert((int)TRIAD__OUTCOME__OUTCOME_INVALID == OUTCOME_COUNT - 1,
               "triad.proto is complete");
_Static_assert((int)TRIAD__STREAM_KIND__LOG == STREAM_COUNT - 1, "triad.proto is complete");

#define FIELD(TYPE, S, member)                                                                     \
    .type = FIELD_##TYPE, .name = #member, .at = offsetof(struct S, member)
#define NUMBER(TYPE, S, member)                                                                    \
    {                                                                                              \
        FIELD(TYPE, S, member)                                                                     \
    }
#define ENUM(S, member, COUNT)                                                                     \
    {                                                                                              \
        FIELD(ENUM, S, member), .limit = (COUNT)                                                   \
    }
#define STRING(S, member, MAX)                                                                     \
    {                                                                                              \
        FIELD(STRING, S, member), .limit = (MAX)                                                   \
    }
#define BYTES(S, member, MAX)                                                                      \
    {                                                                                              \
        FIELD(BYTES, S, member), .limit = (MAX)                                                    \
    }
#define DIGEST(S, member)                                                                          \
    {                                                                                              \
        FIELD(DIGEST, S, member)                                                                   \
    }
#define PART(S, member, SHAPE)                                                                     \
    {                                                                                              \
        FIELD(PART, S, member), .part = &(SHAPE)                                                   \
    }
#define ARRAY(TYPE, S, member, COUNT)                                                              \
    {                                                                                              \
        FIELD(TYPE, S, member), .limit = (COUNT)                                                   \
    }
#define LIST(TYPE, S, member, counter, MAX)                                                        \
    {                                                                                              \
        FIELD(TYPE##_LIST, S, member), .count_at = offsetof(struct S, counter), .limit = (MAX)     \
    }
#define PARTS(S, member, counter, MAX, SHAPE)                                                      \
    {                                                                                              \
        FIELD(PART_LIST, S, member), .count_at = offsetof(struct S, counter), .limit = (MAX),      \
                                     .part = &(SHAPE)                                              \
    }
#define NAME(S, member) STRING(S, member, NAME_BYTES_MAX)

/* ---- parts ---- */

#define PART_SHAPE(S, FIELDS)                                                                      \
    static const struct shape S##_shape = {#S, sizeof(struct S), &triad__##S##__descriptor,        \
                                           FIELDS, ARRAY_COUNT(FIELDS)}

static const struct field lease_key_fields[] = {
    DIGEST(lease_key, job),
    NUMBER(U32, lease_key, epoch),
};
PART_SHAPE(lease_key, lease_key_fields);

static const struct field held_lease_fields[] = {
    PART(held_lease, lease, lease_key_shape), ENUM(held_lease, state, HELD_FINISHED + 1),
    NUMBER(U64, held_lease, progress),        NUMBER(U64, held_lease, done),
    NUMBER(U64, held_lease, total),           NUMBER(DOUBLE, held_lease, loss_nats),
    NUMBER(DOUBLE, held_lease, tokens_per_s),
};
PART_SHAPE(held_lease, held_lease_fields);

static const struct field held_set_fields[] = {
    NUMBER(U32, held_set, count),
    DIGEST(held_set, digest),
};
PART_SHAPE(held_set, held_set_fields);

static const struct field held_verdict_fields[] = {
    PART(held_verdict, lease, lease_key_shape),
    NUMBER(BOOL, held_verdict, keep),
    ARRAY(U32S, held_verdict, next, STREAM_COUNT),
};
PART_SHAPE(held_verdict, held_verdict_fields);

static const struct field named_digest_fields[] = {
    NAME(named_digest, name),
    DIGEST(named_digest, digest),
};
PART_SHAPE(named_digest, named_digest_fields);

static const struct field retry_policy_fields[] = {
    ARRAY(U32S, retry_policy, again, FAILURE_CLASS_COUNT),
    NUMBER(U32, retry_policy, backoff_ms),
    NUMBER(U32, retry_policy, backoff_ms_max),
    NUMBER(U32, retry_policy, memory_growth_percent),
};
PART_SHAPE(retry_policy, retry_policy_fields);

static const struct field submit_job_fields[] = {
    DIGEST(submit_job, identity),
    ENUM(submit_job, kind, JOB_KIND_COUNT),
    NAME(submit_job, label),
    NAME(submit_job, family),
    NAME(submit_job, variant),
    NAME(submit_job, task),
    NUMBER(U64, submit_job, seed),
    BYTES(submit_job, spec, SPEC_BYTES_MAX),
    PARTS(submit_job, inputs, input_count, JOB_INPUTS_MAX, named_digest_shape),
    PARTS(submit_job, parents, parent_count, JOB_PARENTS_MAX, named_digest_shape),
    NUMBER(U32, submit_job, threads),
    NUMBER(U64, submit_job, memory_bytes),
    NUMBER(U64, submit_job, items_expected),
    NUMBER(I32, submit_job, priority),
    NUMBER(U32, submit_job, attempts_max),
    NUMBER(U64, submit_job, work),
    PART(submit_job, retry, retry_policy_shape),
    NAME(submit_job, labels),
    NUMBER(U32, submit_job, time_limit_s),
    NUMBER(U32, submit_job, ranks),
};
PART_SHAPE(submit_job, submit_job_fields);

static const struct field running_row_fields[] = {
    DIGEST(running_row, job),
    NAME(running_row, label),
    NAME(running_row, worker),
    NUMBER(U64, running_row, done),
    NUMBER(U64, running_row, total),
    NUMBER(DOUBLE, running_row, loss_nats),
    NUMBER(DOUBLE, running_row, tokens_per_s),
    NUMBER(I64, running_row, started_ms),
};
PART_SHAPE(running_row, running_row_fields);

static const struct field experiment_row_fields[] = {
    NAME(experiment_row, name),
    NUMBER(I64, experiment_row, created_ms),
    ARRAY(U64S, experiment_row, counts, JOB_STATE_COUNT),
    NUMBER(DOUBLE, experiment_row, work_done_ratio),
    NUMBER(I64, experiment_row, eta_ms),
    NUMBER(I32, experiment_row, priority),
    NUMBER(BOOL, experiment_row, paused),
};
PART_SHAPE(experiment_row, experiment_row_fields);

static const struct field job_row_fields[] = {
    DIGEST(job_row, job),
    ENUM(job_row, kind, JOB_KIND_COUNT),
    ENUM(job_row, state, JOB_STATE_COUNT),
    NAME(job_row, label),
    NAME(job_row, family),
    NAME(job_row, variant),
    NAME(job_row, task),
    NUMBER(U64, job_row, seed),
    STRING(job_row, reason, REASON_BYTES_MAX),
    NAME(job_row, worker),
    NUMBER(U32, job_row, attempts),
    NUMBER(U64, job_row, done),
    NUMBER(U64, job_row, total),
    NUMBER(U64, job_row, items),
    NUMBER(I64, job_row, submitted_ms),
    NUMBER(I64, job_row, started_ms),
    NUMBER(I64, job_row, ended_ms),
    DIGEST(job_row, artifact),
    DIGEST(job_row, records),
    NAME(job_row, numeric_class),
    NUMBER(I32, job_row, priority),
};
PART_SHAPE(job_row, job_row_fields);

static const struct field attempt_row_fields[] = {
    NUMBER(U32, attempt_row, epoch),
    NAME(attempt_row, worker),
    ENUM(attempt_row, outcome, OUTCOME_COUNT),
    NUMBER(BOOL, attempt_row, ended),
    NUMBER(BOOL, attempt_row, committed),
    STRING(attempt_row, reason, REASON_BYTES_MAX),
    NUMBER(U64, attempt_row, start_step),
    NUMBER(I64, attempt_row, started_ms),
    NUMBER(I64, attempt_row, ended_ms),
    NUMBER(U64, attempt_row, wall_ms),
    NUMBER(U64, attempt_row, cpu_ms),
    NUMBER(U64, attempt_row, memory_peak_bytes),
    NUMBER(U32, attempt_row, exit_signal),
    NUMBER(I32, attempt_row, exit_code),
    DIGEST(attempt_row, artifact),
    ARRAY(U32S, attempt_row, batches, STREAM_COUNT),
    NAME(attempt_row, node),
};
PART_SHAPE(attempt_row, attempt_row_fields);

static const struct field worker_row_fields[] = {
    NAME(worker_row, worker),
    NAME(worker_row, host),
    NAME(worker_row, numeric_class),
    NAME(worker_row, version),
    NAME(worker_row, state),
    NUMBER(U32, worker_row, threads),
    NUMBER(U32, worker_row, threads_busy),
    NUMBER(U32, worker_row, leases),
    NUMBER(I64, worker_row, seen_ms),
    NUMBER(U64, worker_row, memory_bytes),
    NAME(worker_row, node),
    NAME(worker_row, labels),
    STRING(worker_row, reason, REASON_BYTES_MAX),
    NUMBER(I64, worker_row, ends_ms),
};
PART_SHAPE(worker_row, worker_row_fields);

static const struct field explain_row_fields[] = {
    NAME(explain_row, worker),
    NAME(explain_row, node),
    NAME(explain_row, word),
    STRING(explain_row, detail, REASON_BYTES_MAX),
};
PART_SHAPE(explain_row, explain_row_fields);

/* ---- worker → coordinator ---- */

static const struct field hello_fields[] = {
    NUMBER(U32, msg_hello, protocol_version),
    NAME(msg_hello, worker),
    DIGEST(msg_hello, instance),
    NAME(msg_hello, host),
    NUMBER(U32, msg_hello, host_cores),
    NUMBER(U32, msg_hello, threads),
    NUMBER(U64, msg_hello, memory_bytes),
    NAME(msg_hello, numeric_class),
    NAME(msg_hello, version),
    PARTS(msg_hello, held, held_count, LEASES_PER_WORKER_MAX, held_lease_shape),
    NAME(msg_hello, node),
    NAME(msg_hello, labels),
    NUMBER(U64, msg_hello, ends_in_ms),
    NUMBER(U32, msg_hello, ranks),
    NUMBER(U32, msg_hello, rank_threads),
};

static const struct field heartbeat_fields[] = {
    NUMBER(U64, msg_heartbeat, session),
    PARTS(msg_heartbeat, held, held_count, LEASES_PER_WORKER_MAX, held_lease_shape),
    NUMBER(BOOL, msg_heartbeat, draining),
    NUMBER(U64, msg_heartbeat, beat),
    PART(msg_heartbeat, all, held_set_shape),
};

static const struct field started_fields[] = {
    NUMBER(U64, msg_started, session),
    PART(msg_started, lease, lease_key_shape),
};

static const struct field stream_fields[] = {
    NUMBER(U64, msg_stream, session),
    PART(msg_stream, lease, lease_key_shape),
    ENUM(msg_stream, stream, STREAM_COUNT),
    NUMBER(U32, msg_stream, index),
    BYTES(msg_stream, payload, STREAM_PAYLOAD_BYTES_MAX),
};

static const struct field checkpoint_fields[] = {
    NUMBER(U64, msg_checkpoint, session),
    PART(msg_checkpoint, lease, lease_key_shape),
    NUMBER(U64, msg_checkpoint, step),
    DIGEST(msg_checkpoint, tree),
};

static const struct field result_fields[] = {
    NUMBER(U64, msg_result, session),
    PART(msg_result, lease, lease_key_shape),
    ENUM(msg_result, outcome, OUTCOME_COUNT),
    STRING(msg_result, reason, REASON_BYTES_MAX),
    ARRAY(U32S, msg_result, batches, STREAM_COUNT),
    NUMBER(U64, msg_result, items),
    DIGEST(msg_result, records),
    DIGEST(msg_result, artifact),
    NUMBER(U32, msg_result, exit_signal),
    NUMBER(I32, msg_result, exit_code),
    NUMBER(U64, msg_result, wall_ms),
    NUMBER(U64, msg_result, cpu_ms),
    NUMBER(U64, msg_result, memory_peak_bytes),
    NUMBER(U64, msg_result, start_step),
    NAME(msg_result, numeric_class),
};

static const struct field bye_fields[] = {NUMBER(U64, msg_bye, session)};

/* ---- coordinator → worker ---- */

static const struct field welcome_fields[] = {
    NUMBER(U64, msg_welcome, session),
    NUMBER(U32, msg_welcome, heartbeat_ms),
    NUMBER(U32, msg_welcome, lease_ms),
    PARTS(msg_welcome, verdicts, verdict_count, LEASES_PER_WORKER_MAX, held_verdict_shape),
};

static const struct field lease_fields[] = {
    NUMBER(U64, msg_lease, session),
    PART(msg_lease, lease, lease_key_shape),
    ENUM(msg_lease, kind, JOB_KIND_COUNT),
    NAME(msg_lease, label),
    BYTES(msg_lease, spec, SPEC_BYTES_MAX),
    PARTS(msg_lease, inputs, input_count, JOB_INPUTS_MAX, named_digest_shape),
    PARTS(msg_lease, parents, parent_count, JOB_PARENTS_MAX, named_digest_shape),
    DIGEST(msg_lease, resume),
    NUMBER(U64, msg_lease, resume_step),
    NUMBER(U32, msg_lease, threads),
    NUMBER(U64, msg_lease, memory_bytes),
    NUMBER(U64, msg_lease, time_limit_ms),
    NUMBER(U32, msg_lease, ranks),
};

static const struct field ack_fields[] = {
    NUMBER(U64, msg_ack, session),
    PART(msg_ack, lease, lease_key_shape),
    ENUM(msg_ack, stream, STREAM_COUNT),
    NUMBER(U32, msg_ack, next),
};

static const struct field checkpoint_ack_fields[] = {
    NUMBER(U64, msg_checkpoint_ack, session),
    PART(msg_checkpoint_ack, lease, lease_key_shape),
    NUMBER(U64, msg_checkpoint_ack, step),
};

static const struct field result_ack_fields[] = {
    NUMBER(U64, msg_result_ack, session),
    PART(msg_result_ack, lease, lease_key_shape),
};

static const struct field revoke_fields[] = {
    NUMBER(U64, msg_revoke, session),
    PART(msg_revoke, lease, lease_key_shape),
    STRING(msg_revoke, reason, REASON_BYTES_MAX),
};

static const struct field pulse_fields[] = {
    NUMBER(U64, msg_pulse, session),
    NUMBER(U64, msg_pulse, beat),
    NUMBER(BOOL, msg_pulse, list),
};

static const struct field drain_fields[] = {
    NUMBER(U64, msg_drain, session),
    NUMBER(U64, msg_drain, grace_ms),
    STRING(msg_drain, reason, REASON_BYTES_MAX),
};

static const struct field no_session_fields[] = {
    NUMBER(U64, msg_no_session, session),
    NUMBER(BOOL, msg_no_session, refused),
    STRING(msg_no_session, reason, REASON_BYTES_MAX),
};

/* ---- client → coordinator ---- */

static const struct field submit_fields[] = {
    NUMBER(U64, msg_submit, request),
    NAME(msg_submit, experiment),
    NUMBER(U32, msg_submit, part_index),
    NUMBER(U32, msg_submit, part_count),
    BYTES(msg_submit, manifest, MANIFEST_BYTES_MAX),
    BYTES(msg_submit, plan_json, FRAME_BYTES_MAX),
    PARTS(msg_submit, jobs, job_count, SUBMIT_JOBS_PER_FRAME, submit_job_shape),
    NUMBER(BOOL, msg_submit, dry_run),
};

static const struct field get_status_fields[] = {
    NUMBER(U64, msg_get_status, request),
    NAME(msg_get_status, experiment),
};

static const struct field list_jobs_fields[] = {
    NUMBER(U64, msg_list_jobs, request),
    NAME(msg_list_jobs, experiment),
    NUMBER(U32, msg_list_jobs, state_mask),
    NUMBER(U64, msg_list_jobs, cursor),
};

static const struct field show_job_fields[] = {
    NUMBER(U64, msg_show_job, request),
    DIGEST(msg_show_job, job),
};

static const struct field act_fields[] = {
    NUMBER(U64, msg_act, request),
    ENUM(msg_act, action, JOB_ACTION_COUNT),
    DIGEST(msg_act, job),
    NAME(msg_act, experiment),
    STRING(msg_act, reason, REASON_BYTES_MAX),
    NUMBER(I32, msg_act, priority),
    NUMBER(BOOL, msg_act, in_parts),
    NUMBER(U64, msg_act, after),
};

static const struct field explain_job_fields[] = {
    NUMBER(U64, msg_explain_job, request),
    DIGEST(msg_explain_job, job),
};

static const struct field list_workers_fields[] = {
    NUMBER(U64, msg_list_workers, request),
    NAME(msg_list_workers, after),
};

static const struct field drain_worker_fields[] = {
    NUMBER(U64, msg_drain_worker, request),
    NAME(msg_drain_worker, worker),
    ENUM(msg_drain_worker, action, WORKER_ACTION_COUNT),
    STRING(msg_drain_worker, reason, REASON_BYTES_MAX),
    NUMBER(U64, msg_drain_worker, grace_ms),
};

static const struct field read_stream_fields[] = {
    NUMBER(U64, msg_read_stream, request), DIGEST(msg_read_stream, job),
    NUMBER(U32, msg_read_stream, epoch),   ENUM(msg_read_stream, stream, STREAM_COUNT),
    NUMBER(U32, msg_read_stream, from),
};

static const struct field get_experiment_fields[] = {
    NUMBER(U64, msg_get_experiment, request),
    NAME(msg_get_experiment, experiment),
    NUMBER(U64, msg_get_experiment, plan_offset),
};

static const struct field get_info_fields[] = {NUMBER(U64, msg_get_info, request)};

static const struct field stop_fields[] = {NUMBER(U64, msg_stop, request)};

static const struct field backup_fields[] = {
    NUMBER(U64, msg_backup, request),
    STRING(msg_backup, folder, PATH_BYTES_MAX),
};

static const struct field gc_fields[] = {
    NUMBER(U64, msg_gc, request),
    NUMBER(U64, msg_gc, age_s),
    NUMBER(BOOL, msg_gc, apply),
};

/* ---- coordinator → client ---- */

static const struct field submitted_fields[] = {
    NUMBER(U64, msg_submitted, request),      NUMBER(U64, msg_submitted, jobs_new),
    NUMBER(U64, msg_submitted, jobs_reused),  NUMBER(U64, msg_submitted, jobs_requeued),
    NUMBER(U64, msg_submitted, jobs_running),
};

static const struct field status_fields[] = {
    NUMBER(U64, msg_status, request),
    PARTS(msg_status, experiments, experiment_count, LIST_ROWS_PER_FRAME, experiment_row_shape),
    PARTS(msg_status, running, running_count, LIST_ROWS_PER_FRAME, running_row_shape),
    NUMBER(U32, msg_status, workers),
    NUMBER(U32, msg_status, threads),
    STRING(msg_status, trouble, REASON_BYTES_MAX),
};

static const struct field jobs_fields[] = {
    NUMBER(U64, msg_jobs, request),
    PARTS(msg_jobs, rows, row_count, LIST_ROWS_PER_FRAME, job_row_shape),
    NUMBER(U64, msg_jobs, next_cursor),
};

static const struct field job_fields[] = {
    NUMBER(U64, msg_job, request),
    PART(msg_job, row, job_row_shape),
    BYTES(msg_job, spec, SPEC_BYTES_MAX),
    PARTS(msg_job, attempts, attempt_count, LIST_ROWS_PER_FRAME, attempt_row_shape),
    NUMBER(U64, msg_job, resume_step),
    DIGEST(msg_job, resume),
};

static const struct field explanation_fields[] = {
    NUMBER(U64, msg_explanation, request),
    NAME(msg_explanation, word),
    STRING(msg_explanation, text, REASON_BYTES_MAX),
    NUMBER(U64, msg_explanation, ahead),
    NUMBER(I64, msg_explanation, backoff_ms),
    PARTS(msg_explanation, rows, row_count, LIST_ROWS_PER_FRAME, explain_row_shape),
};

static const struct field backup_state_fields[] = {
    NUMBER(U64, msg_backup_state, request),
    NUMBER(BOOL, msg_backup_state, complete),
    NUMBER(U64, msg_backup_state, pages),
    NUMBER(U64, msg_backup_state, pages_done),
};

static const struct field get_allocs_fields[] = {
    NUMBER(U64, msg_get_allocs, request),
    NAME(msg_get_allocs, queue),
};

static const struct field alloc_act_fields[] = {
    NUMBER(U64, msg_alloc_act, request),
    ENUM(msg_alloc_act, action, ALLOC_WISH_COUNT),
    NAME(msg_alloc_act, queue),
    STRING(msg_alloc_act, options, ALLOC_OPTIONS_BYTES_MAX),
};

static const struct field allocs_fields[] = {
    NUMBER(U64, msg_allocs, request),
    STRING(msg_allocs, text, REPLY_BYTES_MAX),
};

static const struct field gc_state_fields[] = {
    NUMBER(U64, msg_gc_state, request),       NUMBER(BOOL, msg_gc_state, complete),
    NUMBER(BOOL, msg_gc_state, applied),      NUMBER(U64, msg_gc_state, kept),
    NUMBER(U64, msg_gc_state, kept_bytes),    NUMBER(U64, msg_gc_state, young),
    NUMBER(U64, msg_gc_state, young_bytes),   NUMBER(U64, msg_gc_state, garbage),
    NUMBER(U64, msg_gc_state, garbage_bytes),
};

static const struct field workers_fields[] = {
    NUMBER(U64, msg_workers, request),
    PARTS(msg_workers, rows, row_count, LIST_ROWS_PER_FRAME, worker_row_shape),
    NUMBER(BOOL, msg_workers, more),
};

static const struct field batches_fields[] = {
    NUMBER(U64, msg_batches, request),
    NUMBER(U32, msg_batches, epoch),
    NUMBER(U32, msg_batches, from),
    LIST(BYTES, msg_batches, payloads, payload_count, BATCHES_PER_FRAME_MAX),
    NUMBER(BOOL, msg_batches, end),
    NUMBER(BOOL, msg_batches, attempt_ended),
};

static const struct field experiment_fields[] = {
    NUMBER(U64, msg_experiment, request),
    BYTES(msg_experiment, manifest, MANIFEST_BYTES_MAX),
    BYTES(msg_experiment, plan_json, FRAME_BYTES_MAX),
    NUMBER(U64, msg_experiment, plan_bytes),
};

static const struct field info_fields[] = {
    NUMBER(U64, msg_info, request),
    NAME(msg_info, version),
    STRING(msg_info, state_dir, PATH_BYTES_MAX),
    NUMBER(I64, msg_info, started_ms),
    NUMBER(U64, msg_info, pid),
    NUMBER(U64, msg_info, jobs_unfinished),
    NUMBER(U64, msg_info, jobs_finished),
    NUMBER(U64, msg_info, workers),
    NUMBER(U64, msg_info, database_bytes),
    NUMBER(U64, msg_info, frames_received),
    NUMBER(U64, msg_info, frames_refused),
    NUMBER(U64, msg_info, commits),
    NUMBER(U64, msg_info, records_committed),
    NUMBER(U32, msg_info, loop_lag_ms_max),
};

static const struct field ok_fields[] = {
    NUMBER(U64, msg_ok, request),
    NUMBER(U64, msg_ok, count),
    NUMBER(U64, msg_ok, next),
};

static const struct field error_fields[] = {
    NUMBER(U64, msg_error, request),
    {FIELD(CODE, msg_error, code), .limit = ERR_CANCELLED + 1},
    STRING(msg_error, text, REASON_BYTES_MAX),
};

/* ---- data socket ---- */

static const struct field blob_stat_fields[] = {
    NUMBER(U64, msg_blob_stat, request),
    LIST(DIGEST, msg_blob_stat, digests, digest_count, BLOB_STAT_DIGESTS_MAX),
};

static const struct field blob_sizes_fields[] = {
    NUMBER(U64, msg_blob_sizes, request),
    LIST(I64, msg_blob_sizes, sizes, size_count, BLOB_STAT_DIGESTS_MAX),
};

static const struct field blob_read_fields[] = {
    NUMBER(U64, msg_blob_read, request),
    DIGEST(msg_blob_read, digest),
    NUMBER(U64, msg_blob_read, offset),
};

static const struct field blob_chunk_fields[] = {
    NUMBER(U64, msg_blob_chunk, request), DIGEST(msg_blob_chunk, digest),
    NUMBER(U64, msg_blob_chunk, offset),  NUMBER(U64, msg_blob_chunk, total),
    NUMBER(U32, msg_blob_chunk, crc32c),  BYTES(msg_blob_chunk, data, BLOB_CHUNK_BYTES),
};

static const struct field blob_write_fields[] = {
    NUMBER(U64, msg_blob_write, request), DIGEST(msg_blob_write, digest),
    NUMBER(U64, msg_blob_write, offset),  NUMBER(U64, msg_blob_write, total),
    NUMBER(U32, msg_blob_write, crc32c),  BYTES(msg_blob_write, data, BLOB_CHUNK_BYTES),
};

static const struct field blob_written_fields[] = {
    NUMBER(U64, msg_blob_written, request),
    DIGEST(msg_blob_written, digest),
    NUMBER(U64, msg_blob_written, next),
    NUMBER(BOOL, msg_blob_written, complete),
};

static const struct field data_hello_fields[] = {
    NUMBER(U64, msg_data_hello, request),
    NAME(msg_data_hello, worker),
    NAME(msg_data_hello, endpoint),
    DIGEST(msg_data_hello, server_key),
    NUMBER(U64, msg_data_hello, keys_version),
    NUMBER(U64, msg_data_hello, coordinator_bytes),
    NUMBER(U64, msg_data_hello, peer_bytes),
    NUMBER(U64, msg_data_hello, shared_bytes),
    NUMBER(U64, msg_data_hello, served_bytes),
};

static const struct field data_welcome_fields[] = {
    NUMBER(U64, msg_data_welcome, request),
    NUMBER(U64, msg_data_welcome, keys_version),
    NUMBER(BOOL, msg_data_welcome, has_keys),
    LIST(DIGEST, msg_data_welcome, keys, key_count, DATA_KEYS_MAX),
    STRING(msg_data_welcome, store_folder, PATH_BYTES_MAX),
    DIGEST(msg_data_welcome, store_token),
};

static const struct field blob_where_fields[] = {
    NUMBER(U64, msg_blob_where, request),
    DIGEST(msg_blob_where, digest),
};

static const struct field blob_source_fields[] = {
    NAME(blob_source, worker),
    NAME(blob_source, endpoint),
    DIGEST(blob_source, server_key),
};
PART_SHAPE(blob_source, blob_source_fields);

static const struct field blob_sources_fields[] = {
    NUMBER(U64, msg_blob_sources, request),
    NUMBER(I64, msg_blob_sources, size),
    PARTS(msg_blob_sources, sources, source_count, BLOB_SOURCES_MAX, blob_source_shape),
};

static const struct field blob_held_fields[] = {
    LIST(DIGEST, msg_blob_held, digests, digest_count, BLOB_STAT_DIGESTS_MAX),
};

static const struct field blob_bad_fields[] = {
    DIGEST(msg_blob_bad, digest),
    DIGEST(msg_blob_bad, server_key),
};

static const struct field blob_place_fields[] = {
    NUMBER(U64, msg_blob_place, request),
    DIGEST(msg_blob_place, digest),
    NUMBER(U64, msg_blob_place, size),
    NUMBER(U64, msg_blob_place, nonce),
};

static const struct field list_traffic_fields[] = {
    NUMBER(U64, msg_list_traffic, request),
    NAME(msg_list_traffic, after),
};

static const struct field traffic_row_fields[] = {
    NAME(traffic_row, worker),
    NAME(traffic_row, endpoint),
    NUMBER(U64, traffic_row, blobs_held),
    NUMBER(U64, traffic_row, coordinator_bytes),
    NUMBER(U64, traffic_row, peer_bytes),
    NUMBER(U64, traffic_row, shared_bytes),
    NUMBER(U64, traffic_row, served_bytes),
    NUMBER(U64, traffic_row, accusations),
    NUMBER(I64, traffic_row, seen_ms),
};
PART_SHAPE(traffic_row, traffic_row_fields);

static const struct field traffic_fields[] = {
    NUMBER(U64, msg_traffic, request),
    PARTS(msg_traffic, rows, row_count, LIST_ROWS_PER_FRAME, traffic_row_shape),
    NUMBER(BOOL, msg_traffic, more),
};

const struct shape *codec_shape(unsigned kind)
{
    static const struct shape shapes[MSG_KIND_COUNT] = {
#define X(KIND, member, sender)                                                                    \
    [MSG_##KIND] = {#member, sizeof(struct msg_##member), &triad__##member##__descriptor,          \
                    member##_fields, ARRAY_COUNT(member##_fields)},
        MSG_KINDS(X)
#undef X
    };
    return kind > MSG_NONE && kind < MSG_KIND_COUNT ? &shapes[kind] : NULL;
}
