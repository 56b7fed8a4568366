/* The innermost loops of products: a tile from packed panels, and turning lines into panels. */
#ifndef TRIAD_GEMM_TILE_H
#define TRIAD_GEMM_TILE_H

#include <stddef.h>
#include <stdint.h>

#define GEMM_TILE_ROWS_MAX 14
#define GEMM_TILE_COLS_MAX 32

enum gemm_mode {
    GEMM_SET,   /* out = chain from 0 */
    GEMM_ADD,   /* out += chain from 0 */
    GEMM_CHAIN, /* out = chain that goes on from out */
};

/* A tile of out[rows][cols] from left: depth times `rows` values, and right: depth times `cols`
 * values, aligned to 64 bytes. */
typedef void gemm_tile_f(float *out, size_t stride, const float *left, const float *right,
                         int depth, enum gemm_mode mode);
/* The precision of the factors. With bf16 a panel holds pairs of values of neighbouring depth, the
 * earlier one in the lower half of a word; an odd depth is filled up with zeros. A pair adds its
 * later product, then its earlier one, each fused, to a sum in f32: what the processors'
 * instruction does, and what its emulation here does on others, bit for bit, but for numbers below
 * 2^-126, which the instruction takes as zero. */
enum gemm_precision { GEMM_F32, GEMM_BF16, GEMM_PRECISIONS };

/* to[depth][width] from `lines` ≤ width lines of `depth` values; missing lines become zero. May
 * write up to 7 values behind the end when width is no multiple of 8. */
typedef void gemm_turn_f(float *to, const float *from, size_t stride, int lines, int width,
                         int depth);

/* to[(count + 1) / 2] pairs of `count` values rounded to bf16, to nearest, ties to even. */
typedef void gemm_round_f(uint32_t *to, const float *from, int count);

struct gemm_tiles {
    const char *name;
    int rows; /* of the tallest tile */
    int cols;
    /* By precision and number of rows, 1 … rows; the depth of bf16 counts pairs. */
    gemm_tile_f *tile[GEMM_PRECISIONS][GEMM_TILE_ROWS_MAX + 1];
    gemm_turn_f *turn;
    gemm_round_f *round;
};

/* The fastest that this processor runs. */
const struct gemm_tiles *gemm_tiles(void);
/* Every set that it runs; NULL behind the last. */
const struct gemm_tiles *gemm_tiles_at(size_t index);
/* Use that set from now on: for tests. NULL: the fastest. */
void gemm_tiles_use(const struct gemm_tiles *tiles);

#endif
