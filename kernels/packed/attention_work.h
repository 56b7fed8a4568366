/* What the attention of whole sequences and that of branches share: where a thread keeps its packed
 * keys, values and scores, and what happens to a row of scores. */
#ifndef TRIAD_ATTENTION_WORK_H
#define TRIAD_ATTENTION_WORK_H

#include <math.h>
#include <stddef.h>

#include "gemm_pack.h"
#include "kernels.h"
#include "vector_math.h"

#define BLOCK KERNEL_ROW_BLOCK
/* Query blocks of a task, which share packed keys and values. */
#define TASK_BLOCKS 4

/* One thread's work space for keys of up to `len` positions (whole blocks). */
struct attention_work {
    float *keys;               /* [len][D] as the right factor of scores: columns are positions */
    float *values;             /* [len][D] as the right factor of the mix, or keys for gradients */
    float *values_turned;      /* [len][D] as the right factor of the scores' gradients */
    float *scores, *gradients; /* [BLOCK][len] */
    float *left;               /* a packed block of rows: [BLOCK][len or D] */
    float *right;              /* panels of a block: [BLOCK][D] */
};

/* The work space of all threads may begin anywhere; so many bytes are lost to its alignment. */
#define ATTENTION_ALIGNMENT 64
/* Floats that one thread needs. */
size_t attention_work_floats(int len, int D);
/* The work space of `thread` in `base`. */
struct attention_work attention_work_at(void *base, int thread, int len, int D);

/* Scale count scores and turn them into e^(score - largest); returns their sum, and largest +
 * ln(sum) into lse (may be NULL). */
float attention_softmax(float *scores, int count, float scale, float *lse);

#endif
