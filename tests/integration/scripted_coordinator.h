/* A coordinator for tests of the worker: real sockets and frames, a store in memory, and no policy:
 * the test decides what is leased, acknowledged or passed over in silence. */
#ifndef TRIAD_SCRIPTED_COORDINATOR_H
#define TRIAD_SCRIPTED_COORDINATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "arena.h"
#include "await.h"
#include "net.h"
#include "str.h"
#include "vocab.h"

#define SCRIPTED_JOBS_MAX 16
#define SCRIPTED_BEAT_MS  50

struct scripted_job {
    struct msg_lease lease; /* what was sent; NULL-free, owned by the coordinator's arena */
    uint32_t next[STREAM_COUNT];
    struct strbuf streams[STREAM_COUNT]; /* payloads one after the other */
    uint32_t starts;                     /* STARTED messages */
    uint64_t checkpoint_step;
    struct digest checkpoint;
    bool ended;
    struct msg_result result;
    char reason[512], numeric_class[256];
};

struct scripted_blob {
    struct digest digest;
    struct strbuf bytes;
};

struct scripted {
    char folder[64];
    uv_loop_t loop;
    struct net *net;
    struct net_socket *control, *data;
    uv_timer_t ticker;
    struct arena arena;
    struct net_peer peer; /* the worker's latest connection */
    uint64_t session;
    struct digest instance;
    uint64_t lease_memory_bytes; /* of the jobs leased from now on */
    struct scripted_job jobs[SCRIPTED_JOBS_MAX];
    size_t job_count;
    struct scripted_blob *blobs;
    size_t blob_count;
    pid_t worker;
    /* what the test may change */
    const char *slow_disk; /* rules for workers started from now on; NULL: as it is */
    bool mute;             /* answer nothing */
    bool keep_result_acks; /* do not acknowledge results */
    /* what it may look at */
    uint32_t hellos, beats, byes;
    size_t held_count;        /* in the last HELLO or HEARTBEAT */
    size_t finished_in_hello; /* of the last HELLO */
};

/* Begin in a fresh folder below /tmp, and end: the worker, if any, is killed. */
void scripted_begin(struct scripted *s);
void scripted_end(struct scripted *s);

/* Start `triad-worker` on the folder DIR/worker; stop it with a signal and wait for its end, which
 * is returned as by waitpid(2). */
void scripted_worker_start(struct scripted *s, const char *threads);
int scripted_worker_stop(struct scripted *s, int signal_number);

struct digest scripted_put(struct scripted *s, const void *bytes, size_t len);
struct digest scripted_put_file(struct scripted *s, const char *path);
const struct scripted_blob *scripted_blob(const struct scripted *s, const struct digest *digest);

/* Lease a job: its identity is the spec's digest. The arrays are copied. */
struct scripted_job *scripted_lease(struct scripted *s, enum job_kind kind, const char *spec,
                                    const struct named_digest *inputs, size_t input_count,
                                    const struct named_digest *parents, size_t parent_count);
/* Send a lease (again), as a further attempt with this epoch; what is known of it is forgotten. */
void scripted_lease_again(struct scripted *s, struct scripted_job *job, uint32_t epoch);
void scripted_revoke(struct scripted *s, const struct scripted_job *job);

#endif
