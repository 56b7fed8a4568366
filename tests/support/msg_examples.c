#include "msg_examples.h"

#include <math.h>

#include "bounds.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define BYTES(text)                                                                                \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
/* A digest that shows where it came from; not all zero for n > 0. */
#define DIGEST(n)                                                                                  \
    {                                                                                              \
        {                                                                                          \
            (n), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,    \
                23, 24, 25, 26, 27, 28, 29, 30, 31                                                 \
        }                                                                                          \
    }
#define KEY(n, attempt)                                                                            \
    {                                                                                              \
        DIGEST(n), (attempt)                                                                       \
    }
#define SPEC BYTES("{\"kind\":\"evaluate\",\"numerics_version\":1}")

static struct held_lease held[] = {
    {KEY(1, 1), HELD_RUNNING, 17, 120, 400, 2.5, 1310.25},
    {KEY(2, 3), HELD_FINISHED, UINT64_MAX, 400, 400, NAN, 0},
};
static struct held_verdict verdicts[] = {
    {KEY(1, 1), true, {3, 70000, 0}},
    {KEY(2, 3), false, {0, 0, 0}},
};
static struct named_digest inputs[] = {{"data", DIGEST(20)}, {"tokenizer", DIGEST(21)}};
static struct named_digest parents[] = {{"model", DIGEST(22)}};
static struct submit_job jobs[] = {
    {DIGEST(1),
     JOB_EVALUATE,
     "tiny/ST/flight/42",
     "tiny",
     "ST",
     "flight",
     42,
     SPEC,
     inputs,
     2,
     parents,
     1,
     2,
     1 << 30,
     1500,
     -5,
     3,
     1u << 31,
     {{1, 2, 3, 4, 5, 20, RETRY_AGAIN_MAX, 0}, 1000, 60000, 50},
     "big,site=north",
     7200,
     4},
    {DIGEST(2),
     JOB_PRETRAIN,
     "tiny/PT",
     "tiny",
     "PT",
     "",
     42,
     SPEC,
     inputs,
     1,
     NULL,
     0,
     1,
     0,
     0,
     0,
     1,
     0,
     {{0}, 0, 0, 0},
     "",
     0,
     0},
};
static struct experiment_row experiments[] = {
    {"quickstart", 1800000000123, {1, 2, 3, 4, 5, 6, 7, 8}, 0.375, 95000, -7, true},
    {"größer", 1800000000456, {0, 0, 0, 9, 0, 0, 0, 0}, 1.0, -1, 0, false},
};
static struct running_row running[] = {
    {DIGEST(1), "tiny/ST/flight/42", "worker-1", 10, 150, 1.25, 900.5, 1800000000999},
};
static struct job_row rows[] = {
    {DIGEST(1),
     JOB_EVALUATE,
     JOB_WAITING,
     "tiny/ST/flight/42",
     "tiny",
     "ST",
     "flight",
     42,
     "Parents",
     "",
     0,
     0,
     150,
     0,
     1800000000123,
     0,
     0,
     DIGEST(0),
     DIGEST(0),
     "",
     -3},
    {DIGEST(2),
     JOB_PRETRAIN,
     JOB_QUARANTINED,
     "tiny/PT",
     "tiny",
     "PT",
     "",
     42,
     "signal 11 on two workers",
     "worker-2",
     2,
     7,
     400,
     1,
     1800000000123,
     1800000000200,
     1800000000300,
     DIGEST(30),
     DIGEST(31),
     "blas/f32/Haswell/1",
     0},
};
static struct attempt_row attempts[] = {
    {2,
     "worker-1",
     OUTCOME_LOST,
     true,
     false,
     "no beat for 30 s",
     50,
     1800000000123,
     1800000000456,
     333,
     250,
     1 << 28,
     9,
     -1,
     DIGEST(40),
     {1, 2, 3},
     "node-7"},
};
static struct worker_row workers[] = {
    {"worker-1", "host-1", "blas/f32/SkylakeX/1", "0.1.0", "ready", 2, 1, 1, 1800000000123,
     1ull << 34, "node-7", "big", "3 different jobs failed in a row on it", 1800000099999},
};
static struct explain_row explained[] = {
    {"worker-1", "node-7", "Label", "it has '', the job wants 'big'"},
    {"worker-2", "", "Fits", ""},
};
static struct bytes payloads[] = {BYTES("first"), BYTES(""), BYTES("third\0with NUL")};
static struct digest digests[] = {DIGEST(1), DIGEST(2), DIGEST(3)};
static int64_t sizes[] = {0, -1, BLOB_BYTES_MAX};

static struct blob_source sources[] = {
    {"worker-1", "tcp://node-7:7070", DIGEST(60)},
    {"worker-2", "tcp://10.0.0.9:40001", DIGEST(62)},
};
static struct traffic_row traffic[] = {
    {"worker-1", "tcp://node-7:7070", 12, 1 << 20, 2 << 20, 3 << 20, 4 << 20, 1, 1800000000123},
    {"worker-2", "", 0, 0, 0, 0, 0, 0, 0},
};

static const struct msg examples[] = {
    {.kind = MSG_HELLO,
     .hello = {PROTOCOL_VERSION, "worker-1", DIGEST(9), "host-1", 8, 2, 1ull << 34,
               "blas/f32/SkylakeX/1", "0.1.0", held, COUNT(held), "node-7", "big,site=north",
               3600000}},
    {.kind = MSG_HEARTBEAT,
     .heartbeat = {77, held, COUNT(held), true, 12, {COUNT(held), DIGEST(8)}}},
    {.kind = MSG_STARTED, .started = {77, KEY(1, 1)}},
    {.kind = MSG_STREAM, .stream = {77, KEY(1, 1), STREAM_RECORDS, 3, BYTES("TRB1\0\1\2\377")}},
    {.kind = MSG_CHECKPOINT, .checkpoint = {77, KEY(1, 1), 200, DIGEST(50)}},
    {.kind = MSG_RESULT,
     .result = {77,
                KEY(1, 1),
                OUTCOME_FAILED,
                "input 'data': line 7: not JSON",
                {1, 2, 3},
                150,
                DIGEST(51),
                DIGEST(52),
                15,
                -3,
                61000,
                120000,
                1 << 29,
                100,
                "blas/f32/SkylakeX/1"}},
    {.kind = MSG_BYE, .bye = {77}},
    {.kind = MSG_WELCOME, .welcome = {77, HEARTBEAT_MS, LEASE_MS, verdicts, COUNT(verdicts)}},
    {.kind = MSG_LEASE,
     .lease = {77, KEY(1, 2), JOB_SPECTRUM, "tiny/ST", SPEC, inputs, COUNT(inputs), parents,
               COUNT(parents), DIGEST(53), 200, 2, 1 << 30, 7200000}},
    {.kind = MSG_ACK, .ack = {77, KEY(1, 1), STREAM_LOG, 4}},
    {.kind = MSG_CHECKPOINT_ACK, .checkpoint_ack = {77, KEY(1, 1), 200}},
    {.kind = MSG_RESULT_ACK, .result_ack = {77, KEY(1, 1)}},
    {.kind = MSG_REVOKE, .revoke = {77, KEY(1, 1), "cancelled by a person"}},
    {.kind = MSG_PULSE, .pulse = {77, 12, true}},
    {.kind = MSG_DRAIN, .drain = {77, 600000, "a new disk"}},
    {.kind = MSG_NO_SESSION, .no_session = {77, true, "protocol version 1 is not ours"}},
    {.kind = MSG_SUBMIT,
     .submit = {5, "quickstart", 1, 2, BYTES("name: quickstart\n"), BYTES("{\"jobs\":["), jobs,
                COUNT(jobs), true}},
    {.kind = MSG_GET_STATUS, .get_status = {5, "quickstart"}},
    {.kind = MSG_LIST_JOBS, .list_jobs = {5, "quickstart", 1u << JOB_FAILED, 200}},
    {.kind = MSG_SHOW_JOB, .show_job = {5, DIGEST(1)}},
    {.kind = MSG_ACT,
     .act = {5, ACTION_RETRY, DIGEST(1), "quickstart", "fixed the data", 0, true, 12000}},
    {.kind = MSG_ACT, .act = {5, ACTION_PRIORITY, DIGEST(0), "quickstart", "", -20, false, 0}},
    {.kind = MSG_LIST_WORKERS, .list_workers = {5, "w1"}},
    {.kind = MSG_DRAIN_WORKER, .drain_worker = {5, "worker-1", WORKER_RELEASE, "mended", 60000}},
    {.kind = MSG_READ_STREAM, .read_stream = {5, DIGEST(1), 2, STREAM_LOG, 16}},
    {.kind = MSG_GET_EXPERIMENT, .get_experiment = {5, "quickstart", 65536}},
    {.kind = MSG_GET_INFO, .get_info = {5}},
    {.kind = MSG_STOP, .stop = {5}},
    {.kind = MSG_SUBMITTED, .submitted = {5, 10, 3, 1, 2}},
    {.kind = MSG_STATUS,
     .status = {5, experiments, COUNT(experiments), running, COUNT(running), 3, 6, "disk full"}},
    {.kind = MSG_JOBS, .jobs = {5, rows, COUNT(rows), 201}},
    {.kind = MSG_JOB,
     .job = {5,
             {DIGEST(1),
              JOB_EVALUATE,
              JOB_RUNNING,
              "tiny/ST/flight/42",
              "tiny",
              "ST",
              "flight",
              42,
              "",
              "worker-1",
              1,
              5,
              150,
              5,
              1800000000123,
              1800000000124,
              0,
              DIGEST(0),
              DIGEST(0),
              "blas/f32/Haswell/1",
              5},
             SPEC,
             attempts,
             COUNT(attempts),
             64,
             DIGEST(41)}},
    {.kind = MSG_WORKERS, .workers = {5, workers, COUNT(workers), true}},
    {.kind = MSG_BATCHES, .batches = {5, 2, 16, payloads, COUNT(payloads), true, true}},
    {.kind = MSG_EXPERIMENT,
     .experiment = {5, BYTES("name: quickstart\n"), BYTES("{\"jobs\":["), 70000}},
    {.kind = MSG_INFO,
     .info = {5, "0.1.0", "/var/lib/triad", 1800000000123, 4242, 7, 35, 3, 1 << 20, 99999, 17, 4321,
              150000, 250}},
    {.kind = MSG_OK, .ok = {5, 12, 13000}},
    {.kind = MSG_ERROR, .error = {5, ERR_NOT_FOUND, "no experiment 'quickstrat'"}},
    {.kind = MSG_BLOB_STAT, .blob_stat = {6, digests, COUNT(digests)}},
    {.kind = MSG_BLOB_SIZES, .blob_sizes = {6, sizes, COUNT(sizes)}},
    {.kind = MSG_BLOB_READ, .blob_read = {6, DIGEST(1), 262144}},
    {.kind = MSG_BLOB_CHUNK,
     .blob_chunk = {6, DIGEST(1), 262144, 262149, 0xdeadbeef, BYTES("bytes")}},
    {.kind = MSG_BLOB_WRITE,
     .blob_write = {6, DIGEST(1), 262144, 262149, 0xdeadbeef, BYTES("bytes")}},
    {.kind = MSG_BLOB_WRITTEN, .blob_written = {6, DIGEST(1), 262149, true}},
    {.kind = MSG_EXPLAIN_JOB, .explain_job = {5, DIGEST(1)}},
    {.kind = MSG_BACKUP, .backup = {5, "/var/backups/triad"}},
    {.kind = MSG_GC, .gc = {5, 86400, true}},
    {.kind = MSG_EXPLANATION,
     .explanation = {5, "Label", "no worker has the labels", 17, 1500, explained,
                     COUNT(explained)}},
    {.kind = MSG_BACKUP_STATE, .backup_state = {5, true, 4000, 4000}},
    {.kind = MSG_GET_ALLOCS, .get_allocs = {5, "long"}},
    {.kind = MSG_ALLOC_ACT, .alloc_act = {5, ALLOC_WISH_PAUSE, "long", "{}"}},
    {.kind = MSG_ALLOCS, .allocs = {5, "{\"queues\": []}"}},
    {.kind = MSG_GC_STATE, .gc_state = {5, true, false, 1, 2, 3, 4, 5, 6}},
    {.kind = MSG_DATA_HELLO,
     .data_hello = {6, "worker-1", "tcp://node-7:7070", DIGEST(60), 17, 1, 2, 3, 4}},
    {.kind = MSG_DATA_WELCOME,
     .data_welcome = {6, 17, true, digests, COUNT(digests), "/var/lib/triad/blobs", DIGEST(61)}},
    {.kind = MSG_BLOB_WHERE, .blob_where = {6, DIGEST(1)}},
    {.kind = MSG_BLOB_SOURCES, .blob_sources = {6, 262149, sources, COUNT(sources)}},
    {.kind = MSG_BLOB_HELD, .blob_held = {digests, COUNT(digests)}},
    {.kind = MSG_BLOB_BAD, .blob_bad = {DIGEST(1), DIGEST(60)}},
    {.kind = MSG_BLOB_PLACE, .blob_place = {6, DIGEST(1), 262149, 99}},
    {.kind = MSG_LIST_TRAFFIC, .list_traffic = {5, "w1"}},
    {.kind = MSG_TRAFFIC, .traffic = {5, traffic, COUNT(traffic), true}},
    /* Edges: nothing in lists, nothing in texts, extreme numbers. */
    {.kind = MSG_HELLO,
     .hello =
         {.worker = "", .host = "", .numeric_class = "", .version = "", .node = "", .labels = ""}},
    {.kind = MSG_HEARTBEAT, .heartbeat = {.session = UINT64_MAX}},
    {.kind = MSG_RESULT,
     .result = {.session = UINT64_MAX,
                .lease = KEY(255, UINT32_MAX),
                .reason = "",
                .batches = {UINT32_MAX, 0, UINT32_MAX},
                .items = UINT64_MAX,
                .exit_code = INT32_MIN,
                .numeric_class = ""}},
    {.kind = MSG_JOBS, .jobs = {.request = 5}},
    {.kind = MSG_BLOB_SIZES, .blob_sizes = {.request = 6}},
    {.kind = MSG_BATCHES, .batches = {.request = 6}},
    {.kind = MSG_BLOB_WRITE, .blob_write = {.request = 6, .digest = DIGEST(7)}},
};

const struct msg *msg_examples(size_t *count_out)
{
    *count_out = COUNT(examples);
    return examples;
}
