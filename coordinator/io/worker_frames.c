/* Frames of workers: decode, look up what the core does not keep, step. */
#include <string.h>

#include "clock.h"
#include "digest_map.h"
#include "log.h"
#include "metrics.h"
#include "records.h"
#include "server_state.h"

/* Batches are checked when they arrive: a damaged one is its sender's fault, not a later reader's
 * riddle. */
static void check_batch(struct server *server, struct core_message *message)
{
    const struct msg_stream *stream = &message->msg->stream;
    const struct bytes payload = stream->payload;
    struct err err;
    struct metric_point *points;
    uint32_t count = 0;
    message->payload_is_valid = true;
    switch (stream->stream) {
    case STREAM_RECORDS:
        message->payload_is_valid =
            records_check(payload.data, payload.len, &message->items, &err) == ERR_OK;
        break;
    case STREAM_METRICS:
        message->payload_is_valid = metrics_decode(payload.data, payload.len, &server->frames,
                                                   &points, &count, &err) == ERR_OK;
        break;
    case STREAM_LOG:
    case STREAM_COUNT:
        break;
    }
}

/* Two attempts of one identity with different outputs are an error to be shown. */
static void compare_outputs(struct server *server, const struct msg_result *result,
                            const struct core_job_state *final)
{
    if (final->state != JOB_DONE || result->outcome != OUTCOME_OK ||
        (digest_equal(&final->artifact, &result->artifact) &&
         digest_equal(&final->records, &result->records))) {
        return;
    }
    char hex[DIGEST_HEX_SIZE];
    struct err err;
    const char *what =
        arena_printf(&server->answers,
                     "job %.12s: attempt %u has other outputs than the committed "
                     "attempt %u",
                     digest_hex(&final->identity, hex), result->lease.epoch, final->epoch);
    log_event(LOG_ERROR, "outputs_differ", "%s", what);
    if (store_note(server->store, clock_time_ms(), "outputs differ", what, &err) != ERR_OK) {
        turn_trouble(server, &err);
    }
}

/* A result of a job that has ended: what the store knows of it. */
static void look_up_final(struct server *server, struct core_message *message)
{
    const struct msg_result *result = &message->msg->result;
    struct core_job_row *row = arena_alloc(&server->answers, sizeof *row);
    struct err err;
    if (core_has_job(server->core, &result->lease.job)) {
        return;
    }
    enum err_code code =
        store_job_row(server->store, &result->lease.job, &server->answers, row, &err);
    if (code == ERR_OK) {
        message->final = &row->state;
        compare_outputs(server, result, &row->state);
    } else if (code != ERR_NOT_FOUND) {
        turn_trouble(server, &err);
    }
}

static void prepare(struct server *server, struct core_message *message)
{
    const struct msg *msg = message->msg;
    if (msg->kind == MSG_STREAM) {
        check_batch(server, message);
    } else if (msg->kind == MSG_CHECKPOINT) {
        message->tree_is_stored = artifacts_has_tree(server->artifacts, &msg->checkpoint.tree);
    } else if (msg->kind == MSG_RESULT) {
        message->tree_is_stored = !digest_is_none(&msg->result.artifact) &&
                                  artifacts_has_tree(server->artifacts, &msg->result.artifact);
        look_up_final(server, message);
    }
}

void worker_frame(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                  const uint8_t *bytes, size_t len)
{
    struct server *server = ctx;
    struct err err;
    const uint64_t from = server_peer_number(SOCKET_WORKER, peer);
    (void)role;
    if (server->stopping || server->in_trouble) {
        return; /* workers repeat what matters */
    }
    turn_begin(server);
    struct msg *msg = arena_alloc(&server->answers, sizeof *msg);
    const enum err_code code = server_decode(server, bytes, len, "W", msg, &err);
    if (code != ERR_OK) {
        server_refuse_frame(server, from, user, &err);
        if (code == ERR_VERSION) {
            /* It cannot read this, but sees of which version it is, and can say so in its log. */
            turn_reply(server, from, MSG_NO_SESSION)->no_session =
                (struct msg_no_session){.reason = arena_strdup(&server->answers, err.text)};
        }
        return;
    }
    const struct digest key = digest_of_text(user);
    struct core_event event = {
        .kind = CORE_MESSAGE, .peer = from, .message = {.msg = msg, .key = digest_number(&key)}};
    prepare(server, &event.message);
    if (!server->in_trouble) {
        turn_step(server, &event);
    }
    client_look(server);
    if (server->frames.bytes_used > TURN_BYTES_MAX) {
        turn_finish(server);
    }
}
