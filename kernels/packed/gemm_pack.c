#include "gemm_pack.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vector_math.h"

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

/* ---- bf16 ---- */

int gemm_words(enum gemm_precision precision, int depth)
{
    return precision == GEMM_BF16 ? (depth + 1) / 2 : depth;
}

/* Two rows of `count` values as pairs. */
KERNEL_CLONES
static void pair_rows(uint32_t *restrict to, const float *restrict first,
                      const float *restrict second, int count)
{
    for (int i = 0; i < count; i++)
        to[i] = half_bits(first[i]) | half_bits(second[i]) << 16;
}

KERNEL_CLONES
static void pair_row(uint32_t *restrict to, const float *restrict first, int count)
{
    for (int i = 0; i < count; i++)
        to[i] = half_bits(first[i]);
}

/* Lines that are contiguous along the depth. The hardware does not see the next line coming. */
static void turn_pairs(float *to, const float *from, size_t stride, int lines, int width, int depth)
{
    static _Thread_local struct gemm_scratch scratch;
    const int words = gemm_words(GEMM_BF16, depth);
    float *pairs = gemm_scratch_need(&scratch, (size_t)lines * (size_t)words);
    for (int i = 0; i < lines; i++) {
        for (int k = 0; k < depth && i + 2 < lines; k += 16)
            __builtin_prefetch(from + (size_t)(i + 2) * stride + (size_t)k);
        gemm_tiles()->round((uint32_t *)pairs + (size_t)i * (size_t)words,
                            from + (size_t)i * stride, depth);
    }
    gemm_tiles()->turn(to, pairs, (size_t)words, lines, width, words);
}

/* Lines that lie side by side. */
static void pair_straight(float *to, const float *from, size_t stride, int lines, int width,
                          int depth)
{
    for (int k = 0; k < depth; k += 2) {
        const float *row = from + (size_t)k * stride;
        if (k + 1 < depth)
            pair_rows((uint32_t *)to, row, row + stride, lines);
        else
            pair_row((uint32_t *)to, row, lines);
        memset(to + lines, 0, (size_t)(width - lines) * sizeof *to);
        to += width;
    }
}

/* `lines` lines of a factor into a panel of `width`; `turned`: they are contiguous along the depth.
 */
static void pack_lines(float *to, const float *from, const struct gemm_factor *f, bool turned,
                       int lines, int width, int depth)
{
    const bool half = f->precision == GEMM_BF16;
    if (turned && half)
        turn_pairs(to, from, f->stride, lines, width, depth);
    else if (turned)
        gemm_tiles()->turn(to, from, f->stride, lines, width, depth);
    else if (half)
        pair_straight(to, from, f->stride, lines, width, depth);
    else
        pack_straight(to, from, f->stride, lines, width, depth);
}

/* ---- panels ---- */

static int tile_count(int rows)
{
    return (rows + gemm_tiles()->rows - 1) / gemm_tiles()->rows;
}

/* The first row of tile `index` of `tiles` that share `rows` as evenly as can be. */
static int tile_begin(int rows, int tiles, int index)
{
    return (int)((long)rows * index / tiles);
}

/* Lines that lie side by side, in bf16: pairs are made of whole rows, then dealt out to the panels.
 */
static void pack_left_pairs(float *to, const struct gemm_factor *left, int row, int rows, int k,
                            int depth)
{
    static _Thread_local struct gemm_scratch scratch;
    const int tiles = tile_count(rows), words = gemm_words(GEMM_BF16, depth);
    float *pairs = gemm_scratch_need(&scratch, (size_t)rows);
    for (int word = 0; word < words; word++) {
        pair_straight(pairs, left->data + (size_t)(k + 2 * word) * left->stride + (size_t)row,
                      left->stride, rows, rows, depth - 2 * word < 2 ? 1 : 2);
        for (int t = 0; t < tiles; t++) {
            const int first = tile_begin(rows, tiles, t);
            const int height = tile_begin(rows, tiles, t + 1) - first;
            float *line = to + (size_t)first * (size_t)words + (size_t)word * (size_t)height;
            for (int i = 0; i < height; i++)
                line[i] = pairs[first + i];
        }
    }
}

void gemm_pack_left(float *to, const struct gemm_factor *left, int row, int rows, int k, int depth)
{
    if (left->transposed && left->precision == GEMM_BF16) {
        pack_left_pairs(to, left, row, rows, k, depth);
        return;
    }
    const int tiles = tile_count(rows), words = gemm_words(left->precision, depth);
    for (int t = 0; t < tiles; t++) {
        const int first = tile_begin(rows, tiles, t);
        const int height = tile_begin(rows, tiles, t + 1) - first;
        const size_t at = left->transposed ? (size_t)k * left->stride + (size_t)(row + first)
                                           : (size_t)(row + first) * left->stride + (size_t)k;
        pack_lines(to + (size_t)first * (size_t)words, left->data + at, left, !left->transposed,
                   height, height, depth);
    }
}

size_t gemm_right_count(int cols, int words)
{
    const int width = gemm_tiles()->cols;
    return (size_t)((cols + width - 1) / width * width) * (size_t)words;
}

void gemm_pack_right(float *to, const struct gemm_factor *right, int col, int cols, int k,
                     int depth)
{
    const int width = gemm_tiles()->cols, words = gemm_words(right->precision, depth);
    for (int first = 0; first < cols; first += width) {
        const int lines = cols - first < width ? cols - first : width;
        const size_t at = right->transposed ? (size_t)(col + first) * right->stride + (size_t)k
                                            : (size_t)k * right->stride + (size_t)(col + first);
        pack_lines(to + (size_t)first * (size_t)words, right->data + at, right, right->transposed,
                   lines, width, depth);
    }
}

/* ---- factors that are stored as bf16 ---- */

KERNEL_CLONES
static void widen_line(float *restrict to, const uint8_t *restrict from, int count)
{
    for (int k = 0; k < count; k++) {
        uint16_t half;
        memcpy(&half, from + 2 * (size_t)k, sizeof half);
        const uint32_t bits = (uint32_t)half << 16;
        memcpy(to + k, &bits, sizeof bits);
    }
}

/* Pairs are in memory as the panels have them: where words are whole, they only need turning. */
static void turn_stored(float *to, const uint8_t *from, size_t stride,
                        enum gemm_precision precision, int lines, int depth)
{
    static _Thread_local struct gemm_scratch scratch;
    const int width = gemm_tiles()->cols, words = gemm_words(precision, depth);
    const bool whole = stride % 2 == 0 && depth % 2 == 0 && (uintptr_t)from % sizeof *to == 0;
    if (precision == GEMM_BF16 && whole) {
        gemm_tiles()->turn(to, (const float *)(const void *)from, stride / 2, lines, width, words);
        return;
    }
    float *values = gemm_scratch_need(&scratch, (size_t)lines * (size_t)words);
    for (int i = 0; i < lines; i++) {
        float *line = values + (size_t)i * (size_t)words;
        const uint8_t *row = from + 2 * (size_t)i * stride;
        if (precision == GEMM_F32) {
            widen_line(line, row, depth);
            continue;
        }
        line[words - 1] = 0;
        memcpy(line, row, 2 * (size_t)depth);
    }
    gemm_tiles()->turn(to, values, (size_t)words, lines, width, words);
}

void gemm_pack_stored(float *to, const void *right, size_t stride, enum gemm_precision precision,
                      int col, int cols, int k, int depth)
{
    const int width = gemm_tiles()->cols, words = gemm_words(precision, depth);
    for (int first = 0; first < cols; first += width) {
        const size_t at = (size_t)(col + first) * stride + (size_t)k;
        turn_stored(to + (size_t)first * (size_t)words, (const uint8_t *)right + 2 * at, stride,
                    precision, cols - first < width ? cols - first : width, depth);
    }
}

/* ---- products of blocks ---- */

/* The last columns are fewer than a tile has: through a buffer. */
static void narrow_tile(float *out, size_t stride, const float *left, int rows, const float *right,
                        int cols, int words, enum gemm_precision precision, enum gemm_mode mode)
{
    float whole[GEMM_TILE_ROWS_MAX * GEMM_TILE_COLS_MAX];
    const size_t width = (size_t)gemm_tiles()->cols, bytes = (size_t)cols * sizeof *out;
    if (mode != GEMM_SET)
        memset(whole, 0, sizeof whole);
    for (int i = 0; i < rows && mode != GEMM_SET; i++)
        memcpy(whole + (size_t)i * width, out + (size_t)i * stride, bytes);
    gemm_tiles()->tile[precision][rows](whole, width, left, right, words, mode);
    for (int i = 0; i < rows; i++)
        memcpy(out + (size_t)i * stride, whole + (size_t)i * width, bytes);
}

size_t gemm_panel(int words)
{
    return (size_t)gemm_tiles()->cols * (size_t)words;
}

void gemm_block(float *out, size_t stride, const float *left, int rows, const float *right,
                size_t panel, int cols, int words, enum gemm_precision precision,
                enum gemm_mode mode)
{
    const int tiles = tile_count(rows), width = gemm_tiles()->cols;
    for (int col = 0; col < cols; col += width) {
        const float *lines = right + (size_t)(col / width) * panel;
        for (int t = 0; t < tiles; t++) {
            const int first = tile_begin(rows, tiles, t);
            const int height = tile_begin(rows, tiles, t + 1) - first;
            float *tile = out + (size_t)first * stride + (size_t)col;
            const float *rows_now = left + (size_t)first * (size_t)words;
            if (cols - col < width)
                narrow_tile(tile, stride, rows_now, height, lines, cols - col, words, precision,
                            mode);
            else
                gemm_tiles()->tile[precision][height](tile, stride, rows_now, lines, words, mode);
        }
    }
}
