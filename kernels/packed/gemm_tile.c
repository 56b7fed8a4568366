#include "gemm_tile.h"

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* A tile of ROWS rows and two vectors of columns: one accumulator each, in registers. */
#define TILE(NAME, TARGET, VECTOR, LANES, ROWS, ZERO, LOAD, LOADU, STOREU, SPREAD, FMA, ADD)       \
    __attribute__((target(TARGET))) static void NAME##_##ROWS(                                     \
        float *out, size_t stride, const float *left, const float *right, int depth,               \
        enum gemm_mode mode)                                                                       \
    {                                                                                              \
        VECTOR sum[ROWS][2];                                                                       \
        _Pragma("GCC unroll 14") for (int i = 0; i < (ROWS); i++)                                  \
        {                                                                                          \
            const float *row = out + (size_t)i * stride;                                           \
            sum[i][0] = mode == GEMM_CHAIN ? LOADU(row) : ZERO();                                  \
            sum[i][1] = mode == GEMM_CHAIN ? LOADU(row + (LANES)) : ZERO();                        \
        }                                                                                          \
        for (int k = 0; k < depth; k++) {                                                          \
            const VECTOR right0 = LOAD(right), right1 = LOAD(right + (LANES));                     \
            _Pragma("GCC unroll 14") for (int i = 0; i < (ROWS); i++)                              \
            {                                                                                      \
                const VECTOR x = SPREAD(left[i]);                                                  \
                sum[i][0] = FMA(x, right0, sum[i][0]);                                             \
                sum[i][1] = FMA(x, right1, sum[i][1]);                                             \
            }                                                                                      \
            left += (ROWS);                                                                        \
            right += 2 * (LANES);                                                                  \
        }                                                                                          \
        _Pragma("GCC unroll 14") for (int i = 0; i < (ROWS); i++)                                  \
        {                                                                                          \
            float *row = out + (size_t)i * stride;                                                 \
            if (mode == GEMM_ADD) {                                                                \
                sum[i][0] = ADD(LOADU(row), sum[i][0]);                                            \
                sum[i][1] = ADD(LOADU(row + (LANES)), sum[i][1]);                                  \
            }                                                                                      \
            STOREU(row, sum[i][0]);                                                                \
            STOREU(row + (LANES), sum[i][1]);                                                      \
        }                                                                                          \
    }

#if defined(__x86_64__)
#define TILE512(ROWS)                                                                              \
    TILE(tile512, "avx512f", __m512, 16, ROWS, _mm512_setzero_ps, _mm512_load_ps, _mm512_loadu_ps, \
         _mm512_storeu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps)
TILE512(1)
TILE512(2)
TILE512(3)
TILE512(4)
TILE512(5)
TILE512(6)
TILE512(7)
TILE512(8)
TILE512(9)
TILE512(10)
TILE512(11)
TILE512(12)
TILE512(13)
TILE512(14)

#define TILE256(ROWS)                                                                              \
    TILE(tile256, "avx2,fma", __m256, 8, ROWS, _mm256_setzero_ps, _mm256_load_ps, _mm256_loadu_ps, \
         _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps)
TILE256(1)
TILE256(2)
TILE256(3)
TILE256(4)
TILE256(5)
TILE256(6)

/* Eight lines of eight values, turned. */
__attribute__((target("avx2"), always_inline)) static inline void turn8(__m256 x[8])
{
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
        b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xEE);
        b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xEE);
    }
    for (int i = 0; i < 4; i++) {
        x[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
        x[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
    }
}

/* Groups of eight lines are written left to right for every k, so that what one writes past the
 * width is overwritten by the next k. */
__attribute__((target("avx2"))) static void turn256(float *to, const float *from, size_t stride,
                                                    int lines, int width, int depth)
{
    enum { GROUPS = GEMM_TILE_COLS_MAX / 8 };
    const int groups = (width + 7) / 8;
    int k = 0;
    for (; k + 8 <= depth; k += 8) {
        __m256 x[GROUPS][8];
        for (int g = 0; g < groups; g++) {
            for (int i = 0; i < 8; i++)
                x[g][i] = 8 * g + i < lines
                              ? _mm256_loadu_ps(from + (size_t)(8 * g + i) * stride + (size_t)k)
                              : _mm256_setzero_ps();
            turn8(x[g]);
        }
        for (int i = 0; i < 8; i++)
            for (int g = 0; g < groups; g++)
                _mm256_storeu_ps(to + (size_t)(k + i) * (size_t)width + 8 * (size_t)g, x[g][i]);
    }
    for (; k < depth; k++)
        for (int i = 0; i < width; i++)
            to[(size_t)k * (size_t)width + (size_t)i] =
                i < lines ? from[(size_t)i * stride + (size_t)k] : 0;
}

static const struct gemm_tiles tiles512 = {
    .name = "AVX-512",
    .rows = 14,
    .cols = 32,
    .tile = {NULL, tile512_1, tile512_2, tile512_3, tile512_4, tile512_5, tile512_6, tile512_7,
             tile512_8, tile512_9, tile512_10, tile512_11, tile512_12, tile512_13, tile512_14},
    .turn = turn256,
};
static const struct gemm_tiles tiles256 = {
    .name = "AVX2",
    .rows = 6,
    .cols = 16,
    .tile = {NULL, tile256_1, tile256_2, tile256_3, tile256_4, tile256_5, tile256_6},
    .turn = turn256,
};
#endif

/* For any processor: correct, and fast where fmaf() is an instruction. */
static void tile_plain(float *out, size_t stride, const float *left, const float *right, int depth,
                       enum gemm_mode mode)
{
    enum { COLS = 16 };
    float sum[COLS] = {0};
    (void)stride;
    if (mode == GEMM_CHAIN)
        memcpy(sum, out, sizeof sum);
    for (int k = 0; k < depth; k++)
        for (int j = 0; j < COLS; j++)
            sum[j] = fmaf(left[k], right[k * COLS + j], sum[j]);
    for (int j = 0; j < COLS; j++)
        out[j] = mode == GEMM_ADD ? out[j] + sum[j] : sum[j];
}

static void turn_plain(float *to, const float *from, size_t stride, int lines, int width, int depth)
{
    for (int k = 0; k < depth; k++)
        for (int i = 0; i < width; i++)
            to[(size_t)k * (size_t)width + (size_t)i] =
                i < lines ? from[(size_t)i * stride + (size_t)k] : 0;
}

static const struct gemm_tiles tiles_plain = {
    .name = "plain", .rows = 1, .cols = 16, .tile = {NULL, tile_plain}, .turn = turn_plain};

const struct gemm_tiles *gemm_tiles_at(size_t index)
{
    const struct gemm_tiles *sets[4] = {NULL};
    size_t count = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        sets[count++] = &tiles512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        sets[count++] = &tiles256;
#endif
    sets[count++] = &tiles_plain;
    return index < count ? sets[index] : NULL;
}

static const struct gemm_tiles *_Atomic tiles_chosen;

const struct gemm_tiles *gemm_tiles(void)
{
    const struct gemm_tiles *tiles = atomic_load_explicit(&tiles_chosen, memory_order_relaxed);
    if (!tiles) {
        tiles = gemm_tiles_at(0);
        atomic_store_explicit(&tiles_chosen, tiles, memory_order_relaxed);
    }
    return tiles;
}

void gemm_tiles_use(const struct gemm_tiles *tiles)
{
    atomic_store(&tiles_chosen, tiles);
}
