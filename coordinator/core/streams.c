#include "streams.h"

#include "lease.h"
#include "job.h"
#include "retry.h"

void streams_ack(struct core *core, const struct job *job, enum stream_kind stream)
{
    const struct worker *worker = job->attempt->worker;
    struct msg *m = output_send(core, core->event->peer, MSG_ACK);
    m->ack = (struct msg_ack){.session = worker->session,
                              .lease = {.job = job->identity, .epoch = job->epoch},
                              .stream = stream,
                              .next = job->attempt->next[stream]};
}

void streams_started(struct core *core, struct worker *worker, const struct msg_started *started)
{
    struct job *job = lease_find(core, worker, &started->lease);
    if (job != NULL) {
        lease_started(core, job);
    } else {
        lease_refuse(core, worker->session, &started->lease, "the attempt is not current");
    }
}

static void store_batch(struct core *core, struct job *job, const struct core_message *message)
{
    const struct msg_stream *stream = &message->msg->stream;
    struct attempt *attempt = job->attempt;
    attempt->next[stream->stream]++;
    if (stream->stream == STREAM_RECORDS) {
        hash_update(&attempt->records, stream->payload.data, stream->payload.len);
        attempt->items += message->items;
    }
    struct core_op *op = output_op(core, CORE_OP_BATCH);
    op->batch = (struct core_op_batch){.order = job->order,
                                       .lease = {.job = job->identity, .epoch = job->epoch},
                                       .stream = stream->stream,
                                       .index = stream->index,
                                       .items = message->items,
                                       .payload = stream->payload};
}

void streams_batch(struct core *core, struct worker *worker, const struct core_message *message)
{
    const struct msg_stream *stream = &message->msg->stream;
    struct job *job = lease_find(core, worker, &stream->lease);
    if (job == NULL) {
        lease_refuse(core, worker->session, &stream->lease, "the attempt is not current");
        return;
    }
    lease_started(core, job);
    if (!message->payload_is_valid) {
        const char *why = output_printf(core, "batch %u of its %s stream is damaged", stream->index,
                                        stream_kind_name(stream->stream));
        lease_refuse(core, worker->session, &stream->lease, why);
        lease_end(core, job, OUTCOME_FAILED, why, NULL);
        return;
    }
    if (stream->index == job->attempt->next[stream->stream]) {
        store_batch(core, job, message);
    }
    streams_ack(core, job, stream->stream);
}

void streams_checkpoint(struct core *core, struct worker *worker,
                        const struct core_message *message)
{
    const struct msg_checkpoint *checkpoint = &message->msg->checkpoint;
    struct job *job = lease_find(core, worker, &checkpoint->lease);
    if (job == NULL) {
        lease_refuse(core, worker->session, &checkpoint->lease, "the attempt is not current");
        return;
    }
    if (!message->tree_is_stored) {
        return; /* it says so again once the blobs have arrived */
    }
    lease_started(core, job);
    bool newer = checkpoint->step > job->resume_step;
    if (newer && core->fault != CORE_FAULT_DROP_CHECKPOINT) {
        job->resume = checkpoint->tree;
        job->resume_step = checkpoint->step;
        retry_advanced(job);
        job_changed(core, job);
    }
    struct msg *m = output_send(core, worker->peer, MSG_CHECKPOINT_ACK);
    m->checkpoint_ack = (struct msg_checkpoint_ack){
        .session = worker->session, .lease = checkpoint->lease, .step = checkpoint->step};
}
