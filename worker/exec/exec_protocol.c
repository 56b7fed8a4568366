#include "exec_protocol.h"

#include <string.h>

#include "check.h"
#include "file.h"

/* ---- writing ---- */

static void put_u32(struct strbuf *out, uint32_t value)
{
    uint8_t bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    strbuf_append(out, bytes, sizeof bytes);
}

static void put_u64(struct strbuf *out, uint64_t value)
{
    put_u32(out, (uint32_t)value);
    put_u32(out, (uint32_t)(value >> 32));
}

static void put_f64(struct strbuf *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u64(out, bits);
}

static void put_bytes(struct strbuf *out, const void *bytes, size_t len)
{
    ASSERT(len <= EXEC_FRAME_BYTES_MAX);
    put_u32(out, (uint32_t)len);
    strbuf_append(out, bytes, len);
}

static void put_text(struct strbuf *out, const char *text)
{
    put_bytes(out, text ? text : "", text ? strlen(text) : 0);
}

static void put_inputs(struct strbuf *out, const struct exec_input *inputs, uint32_t count)
{
    put_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        put_text(out, inputs[i].name);
        put_text(out, inputs[i].path);
    }
}

static void put_job(struct strbuf *out, const struct exec_job *job)
{
    put_u32(out, (uint32_t)job->kind);
    put_bytes(out, job->spec.data, job->spec.len);
    put_text(out, job->work_folder);
    put_inputs(out, job->inputs, job->input_count);
    put_inputs(out, job->parents, job->parent_count);
    put_bytes(out, job->model.bytes, DIGEST_BYTES);
    put_text(out, job->resume_folder);
    put_u64(out, job->resume_step);
    put_u32(out, job->threads);
    put_u64(out, job->memory_bytes);
    put_u32(out, job->ranks);
}

static void put_result(struct strbuf *out, const struct exec_result *result)
{
    put_u32(out, (uint32_t)result->outcome);
    put_text(out, result->reason);
    put_u64(out, result->items);
    put_text(out, result->artifact);
    put_u64(out, result->start_step);
    put_text(out, result->numeric_class);
}

void exec_frame_encode(struct strbuf *out, const struct exec_frame *frame)
{
    size_t start = out->len;
    put_u32(out, 0);
    strbuf_putc(out, (char)frame->kind);
    switch (frame->kind) {
    case EXEC_JOB:
        put_job(out, &frame->job);
        break;
    case EXEC_RUNNING:
        break;
    case EXEC_PROGRESS:
        put_u64(out, frame->progress.done);
        put_u64(out, frame->progress.total);
        put_f64(out, frame->progress.loss_nats);
        put_f64(out, frame->progress.tokens_per_s);
        break;
    case EXEC_BATCH:
        put_u32(out, (uint32_t)frame->batch.stream);
        put_bytes(out, frame->batch.payload.data, frame->batch.payload.len);
        break;
    case EXEC_CHECKPOINT:
        put_u64(out, frame->checkpoint.step);
        put_text(out, frame->checkpoint.folder);
        break;
    case EXEC_RESULT:
        put_result(out, &frame->result);
        break;
    case EXEC_FRAME_KIND_COUNT:
        UNREACHABLE("not a frame");
    }
    size_t length = out->len - start - 4;
    ASSERT(length <= EXEC_FRAME_BYTES_MAX);
    for (int i = 0; i < 4; i++)
        out->data[start + (size_t)i] = (char)(uint8_t)(length >> (8 * i));
}

/* ---- reading ---- */

/* A cursor over a body; once `broken`, every read gives zero and stays broken. */
struct reader {
    const uint8_t *at;
    size_t left;
    struct arena *arena;
    bool broken;
};

static const uint8_t *take(struct reader *r, size_t len)
{
    if (r->broken || len > r->left) {
        r->broken = true;
        return NULL;
    }
    const uint8_t *bytes = r->at;
    r->at += len;
    r->left -= len;
    return bytes;
}

static uint32_t take_u32(struct reader *r)
{
    const uint8_t *bytes = take(r, 4);
    uint32_t value = 0;
    for (int i = 0; bytes && i < 4; i++)
        value |= (uint32_t)bytes[i] << (8 * i);
    return value;
}

static uint64_t take_u64(struct reader *r)
{
    uint64_t low = take_u32(r);
    return low | (uint64_t)take_u32(r) << 32;
}

static double take_f64(struct reader *r)
{
    uint64_t bits = take_u64(r);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static struct bytes take_bytes(struct reader *r, size_t len_max)
{
    uint32_t len = take_u32(r);
    const uint8_t *data = len <= len_max ? take(r, len) : NULL;
    if (!data) {
        r->broken = true;
        return (struct bytes){NULL, 0};
    }
    return (struct bytes){arena_memdup(r->arena, data, len), len};
}

static const char *take_text(struct reader *r, size_t len_max)
{
    struct bytes bytes = take_bytes(r, len_max);
    if (r->broken || (bytes.len > 0 && memchr(bytes.data, 0, bytes.len))) {
        r->broken = true;
        return "";
    }
    return arena_strndup(r->arena, (const char *)bytes.data, bytes.len);
}

/* An enum below `count`, or broken. */
static int take_enum(struct reader *r, int count)
{
    uint32_t value = take_u32(r);
    if (value >= (uint32_t)count) {
        r->broken = true;
        return 0;
    }
    return (int)value;
}

#define PATH_BYTES_MAX 4096

static struct exec_input *take_inputs(struct reader *r, uint32_t count_max, uint32_t *count_out)
{
    uint32_t count = take_u32(r);
    if (r->broken || count > count_max) {
        r->broken = true;
        return NULL;
    }
    struct exec_input *inputs = arena_array(r->arena, count + 1, sizeof *inputs);
    for (uint32_t i = 0; i < count && !r->broken; i++) {
        inputs[i].name = take_text(r, NAME_BYTES_MAX);
        inputs[i].path = take_text(r, PATH_BYTES_MAX);
    }
    *count_out = count;
    return inputs;
}

static void take_job(struct reader *r, struct exec_job *job)
{
    job->kind = (enum job_kind)take_enum(r, JOB_KIND_COUNT);
    job->spec = take_bytes(r, SPEC_BYTES_MAX);
    job->work_folder = take_text(r, PATH_BYTES_MAX);
    job->inputs = take_inputs(r, JOB_INPUTS_MAX, &job->input_count);
    job->parents = take_inputs(r, JOB_PARENTS_MAX, &job->parent_count);
    struct bytes model = take_bytes(r, DIGEST_BYTES);
    if (model.len == DIGEST_BYTES)
        memcpy(job->model.bytes, model.data, DIGEST_BYTES);
    else
        r->broken = true;
    job->resume_folder = take_text(r, PATH_BYTES_MAX);
    job->resume_step = take_u64(r);
    job->threads = take_u32(r);
    job->memory_bytes = take_u64(r);
    job->ranks = take_u32(r);
}

static void take_result(struct reader *r, struct exec_result *result)
{
    result->outcome = (enum outcome)take_enum(r, OUTCOME_COUNT);
    result->reason = take_text(r, REASON_BYTES_MAX);
    result->items = take_u64(r);
    result->artifact = take_text(r, NAME_BYTES_MAX);
    result->start_step = take_u64(r);
    result->numeric_class = take_text(r, NAME_BYTES_MAX);
    if (result->artifact[0] && !file_name_is_safe(result->artifact))
        r->broken = true;
}

static void take_body(struct reader *r, struct exec_frame *out)
{
    switch (out->kind) {
    case EXEC_JOB:
        take_job(r, &out->job);
        break;
    case EXEC_RUNNING:
        break;
    case EXEC_PROGRESS:
        out->progress.done = take_u64(r);
        out->progress.total = take_u64(r);
        out->progress.loss_nats = take_f64(r);
        out->progress.tokens_per_s = take_f64(r);
        break;
    case EXEC_BATCH:
        out->batch.stream = (enum stream_kind)take_enum(r, STREAM_COUNT);
        out->batch.payload = take_bytes(r, STREAM_PAYLOAD_BYTES_MAX);
        break;
    case EXEC_CHECKPOINT:
        out->checkpoint.step = take_u64(r);
        out->checkpoint.folder = take_text(r, NAME_BYTES_MAX);
        r->broken |= !file_name_is_safe(out->checkpoint.folder);
        break;
    case EXEC_RESULT:
        take_result(r, &out->result);
        break;
    case EXEC_FRAME_KIND_COUNT:
        UNREACHABLE("not a frame");
    }
}

enum err_code exec_frame_decode(const void *bytes, size_t len, struct arena *arena,
                                struct exec_frame *out, size_t *used_out, struct err *err)
{
    *used_out = 0;
    struct reader head = {.at = bytes, .left = len};
    uint32_t length = take_u32(&head);
    if (head.broken)
        return ERR_OK;
    if (length < 1 || length > EXEC_FRAME_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "child frame of %u bytes (at most %d)", length,
                       EXEC_FRAME_BYTES_MAX);
    const uint8_t *frame = take(&head, length);
    if (!frame)
        return ERR_OK;
    if (frame[0] >= EXEC_FRAME_KIND_COUNT)
        return err_set(err, ERR_CORRUPT, "child frame of unknown kind %u", frame[0]);
    struct exec_frame decoded;
    memset(&decoded, 0, sizeof decoded);
    decoded.kind = (enum exec_frame_kind)frame[0];
    struct reader body = {.at = frame + 1, .left = length - 1, .arena = arena};
    take_body(&body, &decoded);
    if (body.broken || body.left > 0)
        return err_set(err, ERR_CORRUPT, "child frame of kind %u is malformed", frame[0]);
    *out = decoded;
    *used_out = 4 + (size_t)length;
    return ERR_OK;
}
