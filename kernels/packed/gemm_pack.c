#include "gemm_pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

float *gemm_scratch_need(struct gemm_scratch *scratch, size_t count)
{
    if (scratch->count < count) {
        free(scratch->data);
        scratch->count = (count + 1023) / 1024 * 1024;
        scratch->data = aligned_alloc(64, scratch->count * sizeof *scratch->data);
        if (!scratch->data) {
            fprintf(stderr, "kernels: no memory for %zu packed numbers\n", scratch->count);
            abort();
        }
    }
    return scratch->data;
}

/* Lines that lie side by side: copied. */
static void pack_straight(float *restrict to, const float *restrict from, size_t stride, int lines,
                          int width, int depth)
{
    for (int k = 0; k < depth; k++) {
        for (int i = 0; i < lines; i++)
            to[i] = from[i];
        for (int i = lines; i < width; i++)
            to[i] = 0;
        to += width;
        from += stride;
    }
}

static int tile_count(int rows)
{
    return (rows + gemm_tiles()->rows - 1) / gemm_tiles()->rows;
}

/* The first row of tile `index` of `tiles` that share `rows` as evenly as can be. */
static int tile_begin(int rows, int tiles, int index)
{
    return (int)((long)rows * index / tiles);
}

void gemm_pack_left(float *to, const struct gemm_factor *left, int row, int rows, int k, int depth)
{
    const int tiles = tile_count(rows);
    for (int t = 0; t < tiles; t++) {
        const int first = tile_begin(rows, tiles, t);
        const int height = tile_begin(rows, tiles, t + 1) - first;
        float *panel = to + (size_t)first * (size_t)depth;
        if (left->transposed)
            pack_straight(panel, left->data + (size_t)k * left->stride + (size_t)(row + first),
                          left->stride, height, height, depth);
        else
            gemm_tiles()->turn(panel, left->data + (size_t)(row + first) * left->stride + (size_t)k,
                               left->stride, height, height, depth);
    }
}

size_t gemm_right_count(int cols, int depth)
{
    const int width = gemm_tiles()->cols;
    return (size_t)((cols + width - 1) / width * width) * (size_t)depth;
}

void gemm_pack_right(float *to, const struct gemm_factor *right, int col, int cols, int k,
                     int depth)
{
    const int width = gemm_tiles()->cols;
    for (int first = 0; first < cols; first += width) {
        const int lines = cols - first < width ? cols - first : width;
        float *panel = to + (size_t)first * (size_t)depth;
        if (right->transposed)
            gemm_tiles()->turn(panel,
                               right->data + (size_t)(col + first) * right->stride + (size_t)k,
                               right->stride, lines, width, depth);
        else
            pack_straight(panel, right->data + (size_t)k * right->stride + (size_t)(col + first),
                          right->stride, lines, width, depth);
    }
}

/* The last columns are fewer than a tile has: through a buffer. */
static void narrow_tile(float *out, size_t stride, const float *left, int rows, const float *right,
                        int cols, int depth, enum gemm_mode mode)
{
    float whole[GEMM_TILE_ROWS_MAX * GEMM_TILE_COLS_MAX];
    const size_t width = (size_t)gemm_tiles()->cols, bytes = (size_t)cols * sizeof *out;
    if (mode != GEMM_SET)
        memset(whole, 0, sizeof whole);
    for (int i = 0; i < rows && mode != GEMM_SET; i++)
        memcpy(whole + (size_t)i * width, out + (size_t)i * stride, bytes);
    gemm_tiles()->tile[rows](whole, width, left, right, depth, mode);
    for (int i = 0; i < rows; i++)
        memcpy(out + (size_t)i * stride, whole + (size_t)i * width, bytes);
}

size_t gemm_panel(int depth)
{
    return (size_t)gemm_tiles()->cols * (size_t)depth;
}

void gemm_block(float *out, size_t stride, const float *left, int rows, const float *right,
                size_t panel, int cols, int depth, enum gemm_mode mode)
{
    const int tiles = tile_count(rows), width = gemm_tiles()->cols;
    for (int col = 0; col < cols; col += width) {
        const float *lines = right + (size_t)(col / width) * panel;
        for (int t = 0; t < tiles; t++) {
            const int first = tile_begin(rows, tiles, t);
            const int height = tile_begin(rows, tiles, t + 1) - first;
            float *tile = out + (size_t)first * stride + (size_t)col;
            const float *rows_now = left + (size_t)first * (size_t)depth;
            if (cols - col < width)
                narrow_tile(tile, stride, rows_now, height, lines, cols - col, depth, mode);
            else
                gemm_tiles()->tile[height](tile, stride, rows_now, lines, depth, mode);
        }
    }
}
