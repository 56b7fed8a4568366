/* Packing factors into panels, and products of packed blocks. */
#ifndef TRIAD_GEMM_PACK_H
#define TRIAD_GEMM_PACK_H

#include "gemm.h"
#include "gemm_tile.h"

/* Values that may be written behind a packed left block. */
#define GEMM_SLACK 8

/* Words that `depth` values of a line take: in bf16 pairs. */
int gemm_words(enum gemm_precision precision, int depth);

/* Rows row … row + rows - 1 of a left factor, depth k … k + depth - 1, in the factor's precision:
 * panels of tiles of equal height, rows * gemm_words() words. */
void gemm_pack_left(float *to, const struct gemm_factor *left, int row, int rows, int k, int depth);
/* Columns of a right factor: panels of gemm_tiles()->cols columns, each [words][cols], the last
 * filled up with zeros. `to` is aligned to 64 bytes. */
void gemm_pack_right(float *to, const struct gemm_factor *right, int col, int cols, int k,
                     int depth);
/* The same of a transposed right factor that is stored as bf16, `stride` values between its rows.
 */
void gemm_pack_stored(float *to, const void *right, size_t stride, enum gemm_precision precision,
                      int col, int cols, int k, int depth);
/* Words of packed columns: whole panels. */
size_t gemm_right_count(int cols, int words);

/* out[rows][cols] from a packed left block and packed panels of as many words of depth; a panel
 * begins `panel` words behind the one before (whole ones: gemm_panel()). */
void gemm_block(float *out, size_t stride, const float *left, int rows, const float *right,
                size_t panel, int cols, int words, enum gemm_precision precision,
                enum gemm_mode mode);
size_t gemm_panel(int words);

/* A thread's own memory, grown when it must be; it lives as long as the thread. One per use. */
struct gemm_scratch {
    float *data; /* aligned to 64 bytes */
    size_t count;
};
float *gemm_scratch_need(struct gemm_scratch *scratch, size_t count);

#endif
