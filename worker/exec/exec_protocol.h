/* What an agent and its child process say to each other. The agent writes JOB frames to the
 * child's standard input; the child writes all others to file descriptor 3 (its standard error is
 * text for people). A frame is u32 length of the rest, u8 kind, body; integers and
 * doubles little-endian, strings and bytes as u32 length and content. Child and agent are the same
 * program, so there is no version; but a child may be dying, so its bytes are outside bytes. */
#ifndef TRIAD_EXEC_PROTOCOL_H
#define TRIAD_EXEC_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "bounds.h"
#include "err.h"
#include "str.h"
#include "vocab.h"

#define EXEC_FD              3
#define EXEC_FRAME_BYTES_MAX (256 * 1024)

enum exec_frame_kind {
    EXEC_JOB,        /* agent → child: do this; the end of input means: leave */
    EXEC_RUNNING,    /* the job is understood and begins */
    EXEC_PROGRESS,   /* how far it got */
    EXEC_BATCH,      /* the next batch of a stream */
    EXEC_CHECKPOINT, /* a complete resume folder lies in the work folder */
    EXEC_RESULT,     /* the job's end; its last frame */
    EXEC_FRAME_KIND_COUNT,
};

struct exec_input {
    const char *name;
    const char *path; /* a file, or the folder of a tree */
};

struct exec_job {
    enum job_kind kind;
    struct bytes spec;
    const char *work_folder;
    struct exec_input *inputs;
    uint32_t input_count;
    struct exec_input *parents;
    uint32_t parent_count;
    struct digest model;       /* of the parent "model"; what a warm child may keep loaded */
    const char *resume_folder; /* empty: from the beginning */
    uint64_t resume_step;
    uint32_t threads;
    uint64_t memory_bytes;
    uint32_t ranks; /* processes that share it, each with these threads and memory; 0 is 1 */
};

struct exec_progress {
    uint64_t done, total;
    double loss_nats, tokens_per_s;
};

struct exec_batch {
    enum stream_kind stream;
    struct bytes payload;
};

struct exec_checkpoint {
    uint64_t step;
    const char *folder; /* a name in the work folder */
};

struct exec_result {
    enum outcome outcome;
    const char *reason;
    uint64_t items;
    const char *artifact; /* a folder's name in the work folder; empty when there is none */
    uint64_t start_step;
    const char *numeric_class;
};

struct exec_frame {
    enum exec_frame_kind kind;
    union {
        struct exec_job job;
        struct exec_progress progress;
        struct exec_batch batch;
        struct exec_checkpoint checkpoint;
        struct exec_result result;
    };
};

/* Append a frame. Payloads and specs must respect bounds.h. */
void exec_frame_encode(struct strbuf *out, const struct exec_frame *frame);
/* Decode the frame at the beginning of `bytes`: sets *used_out to its length, or to 0 when it is
 * not complete yet. Strings are copied to `arena`, byte payloads too. ERR_LIMIT when it says it is
 * longer than EXEC_FRAME_BYTES_MAX, ERR_CORRUPT when it is malformed. */
NODISCARD enum err_code exec_frame_decode(const void *bytes, size_t len, struct arena *arena,
                                          struct exec_frame *out, size_t *used_out,
                                          struct err *err);

#endif
