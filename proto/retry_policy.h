/* Classes of failure and what a job's plan says about them; counted by coordinator/core/retry.c. */
#ifndef TRIAD_RETRY_POLICY_H
#define TRIAD_RETRY_POLICY_H

#include <stdint.h>

/* Why an attempt failed, as far as the next one is concerned: what a job's retry policy counts. */
enum failure_class {
    FAILURE_ERROR,     /* the computation said why */
    FAILURE_EXIT,      /* its process ended with a status and no result */
    FAILURE_SIGNAL,    /* its process was killed */
    FAILURE_MEMORY,    /* for want of memory */
    FAILURE_TIMEOUT,   /* it took longer than the job's limit */
    FAILURE_LOST,      /* its worker vanished */
    FAILURE_PREEMPTED, /* its worker had to leave or gave it back */
    FAILURE_INVALID,   /* its result contradicts itself or the plan */
    FAILURE_CLASS_COUNT,
};

/* What happens after failures. All zero: the coordinator's defaults (core/retry.c). */
struct retry_policy {
    uint32_t again[FAILURE_CLASS_COUNT]; /* how often a job is tried again after each class */
    uint32_t backoff_ms, backoff_ms_max; /* before the second attempt, doubling; 0: default */
    uint32_t memory_growth_percent;      /* more memory after each failure for want of it */
};
#define RETRY_AGAIN_MAX 255

const char *failure_class_name(enum failure_class class); /* "signal" */

#endif
