/* Streams of attempts for clients. */
#include "bounds.h"
#include "store_query.h"

struct chosen {
    int64_t job;
    uint32_t epoch;
    bool ended;
};

/* The attempt that a request means: the named one, else the committed one, else the latest. */
static enum err_code choose_attempt(struct store *store, const struct msg_read_stream *request,
                                    struct chosen *out, struct err *err)
{
    struct query q = query_begin(
        store, "SELECT a.job_id, a.epoch, a.ended FROM jobs j JOIN attempts a ON a.job_id = j.id"
               " WHERE j.identity = ?1 AND (?2 = 0 OR a.epoch = ?2)"
               " ORDER BY a.committed DESC, a.epoch DESC LIMIT 1");
    query_bind_digest(&q, &request->job);
    query_bind_int(&q, request->epoch);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    if (code != ERR_OK) {
        return code;
    }
    if (more) {
        out->job = query_int(&q);
        out->epoch = query_u32(&q);
        out->ended = query_int(&q) != 0;
    }
    query_end(&q);
    return more ? ERR_OK
                : err_set(err, ERR_NOT_FOUND,
                          "the job has no such attempt: it has not started, or "
                          "its identity or epoch is wrong");
}

enum err_code store_read_stream(struct store *store, const struct msg_read_stream *request,
                                struct arena *arena, struct msg_batches *out, struct err *err)
{
    struct chosen attempt = {0};
    enum err_code code = choose_attempt(store, request, &attempt, err);
    if (code != ERR_OK) {
        return code;
    }
    struct msg_batches batches = {.request = request->request,
                                  .epoch = attempt.epoch,
                                  .from = request->from,
                                  .end = true,
                                  .attempt_ended = attempt.ended};
    batches.payloads = arena_array(arena, BATCHES_PER_FRAME_MAX, sizeof *batches.payloads);
    struct query q = query_begin(
        store, "SELECT payload, crc32c FROM batches WHERE job_id = ? AND epoch = ? AND stream = ?"
               " AND place >= ? ORDER BY place");
    query_bind_int(&q, attempt.job);
    query_bind_int(&q, attempt.epoch);
    query_bind_int(&q, request->stream);
    query_bind_int(&q, request->from);
    size_t bytes = 0;
    bool more = false;
    code = query_next(&q, &more, err);
    while (code == ERR_OK && more) {
        struct bytes payload = query_bytes(&q, arena);
        uint32_t crc = query_u32(&q);
        if (hash_crc32c(payload.data, payload.len) != crc) {
            code = err_set(err, ERR_CORRUPT, "a stored batch is damaged: run the job again");
            break;
        }
        bytes += payload.len;
        if (bytes > REPLY_BYTES_MAX || batches.payload_count == BATCHES_PER_FRAME_MAX) {
            batches.end = false;
            break;
        }
        batches.payloads[batches.payload_count++] = payload;
        code = query_next(&q, &more, err);
    }
    query_end(&q);
    if (code == ERR_OK) {
        *out = batches;
    }
    return code;
}
