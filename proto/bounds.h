/* Every bound that both sides of the wire must agree on, with its reason. */
#ifndef TRIAD_BOUNDS_H
#define TRIAD_BOUNDS_H

/* Largest control frame (workers and clients). protobuf-c can allocate 56 bytes per input byte, so
 * this also bounds what one hostile frame may cost: 256 KiB × 56 = 14 MiB, and the decoding budget
 * below cuts that further. */
#define FRAME_BYTES_MAX (256 * 1024)
/* Largest frame on the data socket: one chunk and its header. */
#define FRAME_DATA_BYTES_MAX (BLOB_CHUNK_BYTES + 4096)
/* Memory that decoding one frame may take before it is refused. */
#define DECODE_BUDGET_BYTES (2 * 1024 * 1024)
/* 256 KiB × 8 in flight filled the loopback with CURVE on (measured: 0.8 GB/s). */
#define BLOB_CHUNK_BYTES      (256 * 1024)
#define BLOB_CHUNKS_IN_FLIGHT 8
/* Largest blob: weights of a 14B model in bf16, with room. */
#define BLOB_BYTES_MAX ((long long)64 * 1024 * 1024 * 1024)
#define TREE_FILES_MAX 256
/* Digests in one BLOB_STAT: all files of a tree, with room. */
#define BLOB_STAT_DIGESTS_MAX 512
/* Smaller blobs always come from the coordinator: finding a peer costs more than they do. */
#define PEER_BLOB_BYTES_MIN ((uint64_t)1024 * 1024)
/* Workers named in answer to one BLOB_WHERE. */
#define BLOB_SOURCES_MAX 8
/* Keys of workers in one DATA_WELCOME: a full keyring (net_keyring.h) and the coordinator's own. */
#define DATA_KEYS_MAX 1100
/* A worker that serves others says so this often; silent for DATA_SILENCE_MS it is not named any
 * more, and one that hears nothing for as long serves nobody. */
#define DATA_HELLO_MS   5000
#define DATA_SILENCE_MS 20000
/* Others only report what they moved. */
#define DATA_REPORT_MS 30000
/* Payload of one stream batch: docs/data.md section 4. */
#define STREAM_PAYLOAD_BYTES_MAX (64 * 1024)
#define SPEC_BYTES_MAX           (64 * 1024)
#define REASON_BYTES_MAX         1024
#define NAME_BYTES_MAX           256 /* experiment, family, variant, task, worker, host, label */
#define PATH_BYTES_MAX           4096
#define JOB_PARENTS_MAX          8
#define JOB_INPUTS_MAX           32
#define SUBMIT_JOBS_PER_FRAME    64
#define SUBMIT_JOBS_MAX          1000000
/* Travels in one frame, beside the first slice of the plan. */
#define MANIFEST_BYTES_MAX  (128 * 1024)
#define PLAN_JSON_BYTES_MAX (16 * 1024 * 1024)
/* A queue of allocations, as JSON: its arguments for sbatch among it. */
#define ALLOC_OPTIONS_BYTES_MAX (32 * 1024)
#define WORKERS_MAX             4096
#define LEASES_PER_WORKER_MAX   256
#define LIST_ROWS_PER_FRAME     200
/* What a list or document may fill of a reply frame: the rest is room for headers. */
#define REPLY_BYTES_MAX       (FRAME_BYTES_MAX - 16 * 1024)
#define BATCHES_PER_FRAME_MAX 256

/* Heartbeats (orchestration anchors 6.6). A worker is lost after LIVENESS missed beats; a lease it
 * held runs out after LEASE_MS without a beat that lists or proves it. */
#define HEARTBEAT_MS       2000
#define HEARTBEAT_LIVENESS 5
/* Leases whose progress one beat tells beside those that are new: a full worker's come round in
 * 256 / 16 beats, far sooner than a standstill counts (core_options.stall_ms). */
#define HEARTBEAT_NEWS_MAX 16
#define LEASE_MS           30000
#define RECONNECT_MS_MIN   100
#define RECONNECT_MS_MAX   30000

/* Datasets: read whole into memory by planner and worker. */
#define DATASET_BYTES_MAX     ((size_t)2 * 1024 * 1024 * 1024)
#define DATASET_SEQUENCES_MAX 50000000
#define DATASET_SEGMENTS_MAX  65536
#define DATASET_EXAMPLES_MAX  65535
/* Samples: texts after one prompt, and tokens of one. */
#define DATASET_DRAWS_MAX       100000
#define DATASET_DRAW_TOKENS_MAX 4096

#endif
