/* Products of our own, made so that an element's bits depend on its row and its column alone:
 *
 *     out[m][n] = sum over blocks of at most GEMM_DEPTH values of k, in order, of
 *                 (a chain of fused multiply-adds over the block's k, in order, from 0)
 *
 * whatever M and N, wherever the element lies, on any number of threads and with any vector width:
 * AVX2 and AVX-512 give the same bits. Factors may be rounded to bf16 (gemm_tile.h); sums are f32.
 * The order of the loops is Goto and van de Geijn's (2008). */
#ifndef TRIAD_GEMM_H
#define TRIAD_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "gemm_tile.h"

/* Terms of one chain. Long sums lose fewer bits in blocks, and a block of rows stays in the cache.
 */
#define GEMM_DEPTH 512

/* A factor: element (i, k) of the left one, (k, j) of the right one. */
struct gemm_factor {
    const float *data;
    size_t stride;   /* between its rows in memory */
    bool transposed; /* rows in memory run along k of the right factor, along i of the left one */
    enum gemm_precision precision; /* its values are rounded to; the same for both factors */
};

/* out[M][N] = left * right, or += when `add`; K at least 1; `stride` between rows of out. Spread
 * over the pool's threads, or on the calling one inside a task. Out must not overlap the factors.
 */
void gemm(float *out, size_t stride, struct gemm_factor left, struct gemm_factor right, int M,
          int N, int K, bool add);

/* Bytes that products keep for packed factors, at most, all of the pool's threads together. */
size_t gemm_scratch_bytes(void);

/* out[M][N] = left * right, where the right factor is transposed and stored as bf16, `stride`
 * values between its rows and perhaps not aligned: the bits of gemm() of its values. */
void gemm_stored(float *out, size_t out_stride, struct gemm_factor left, const void *right,
                 size_t stride, int M, int N, int K);

/* Can this processor run the kernels at speed (fused multiply-add in vectors)? */
bool gemm_is_fast(void);

#endif
