/* A load for a real coordinator: scripted workers and a client over real encrypted sockets, for
 * `triad bench dispatch`. One job: its lease was sent after its commit, its result is received,
 * committed and acknowledged. */
#ifndef TRIAD_VERB_BENCH_LOAD_H
#define TRIAD_VERB_BENCH_LOAD_H

#include <stdint.h>
#include <sys/types.h>

#include "err.h"

/* Upper ends of the histogram of statuses, in milliseconds; the last bucket has none. */
#define STATUS_BUCKETS 7
extern const double bench_status_ends_ms[STATUS_BUCKETS - 1];

struct bench_load {
    const char *state_dir; /* of the coordinator; its access files are there */
    pid_t coordinator;
    uint64_t jobs;
    uint64_t first; /* number of the first job: jobs are named after their numbers */
    uint32_t connections;
    uint32_t slots;   /* jobs at once per connection */
    uint32_t batches; /* record batches per job */
    uint32_t task_us; /* how long a slot is taken by a job */
};

struct bench_statuses {
    uint64_t count;
    double mean_ms, p50_ms, p99_ms, max_ms;
    uint64_t within[STATUS_BUCKETS]; /* how many took at most 1, 2, 5, … ms; the rest last */
};

struct bench_figures {
    double submit_s, dispatch_s;
    double coordinator_cpu_s, generator_cpu_s; /* while jobs were dispatched */
    /* Growth of the coordinator by the submission, its connections being there before. */
    double memory_bytes_per_job;
    uint64_t records;
    /* Statuses asked by another process: while jobs were dispatched, and while they were submitted.
     */
    struct bench_statuses statuses, submit_statuses;
};

NODISCARD enum err_code bench_load_run(const struct bench_load *load, struct bench_figures *out,
                                       struct err *err);

#endif
