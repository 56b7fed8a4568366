#include "gemm_tile.h"

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "vector_math.h"

/* A tile of ROWS rows and two vectors of columns: one accumulator each, in registers; its place in
 * the result is fetched meanwhile. FACTOR is a
 * vector of the right factor (in bf16: of pairs), MULTIPLY(x, right, sum) adds a product. */
#define TILE(NAME, TARGET, VECTOR, LANES, ROWS, ZERO, LOADU, STOREU, ADD, FACTOR, LOAD, SPREAD,    \
             MULTIPLY)                                                                             \
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
            __builtin_prefetch(row, 1);                                                            \
            __builtin_prefetch(row + (LANES), 1);                                                  \
        }                                                                                          \
        for (int k = 0; k < depth; k++) {                                                          \
            const FACTOR right0 = LOAD(right), right1 = LOAD(right + (LANES));                     \
            _Pragma("GCC unroll 14") for (int i = 0; i < (ROWS); i++)                              \
            {                                                                                      \
                const FACTOR x = SPREAD(left + i);                                                 \
                sum[i][0] = MULTIPLY(x, right0, sum[i][0]);                                        \
                sum[i][1] = MULTIPLY(x, right1, sum[i][1]);                                        \
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

KERNEL_CLONES
static void round_any(uint32_t *restrict to, const float *restrict from, int count)
{
    for (int k = 0; k < count / 2; k++)
        to[k] = half_bits(from[2 * k]) | half_bits(from[2 * k + 1]) << 16;
    if (count % 2)
        to[count / 2] = half_bits(from[count - 1]);
}

/* Every height of a tile, and their table. */
#define HEIGHTS_6(TILE_OF) TILE_OF(1) TILE_OF(2) TILE_OF(3) TILE_OF(4) TILE_OF(5) TILE_OF(6)
#define HEIGHTS_14(TILE_OF)                                                                        \
    HEIGHTS_6(TILE_OF)                                                                             \
    TILE_OF(7) TILE_OF(8) TILE_OF(9) TILE_OF(10) TILE_OF(11) TILE_OF(12) TILE_OF(13) TILE_OF(14)
#define TABLE_6(NAME) NULL, NAME##_1, NAME##_2, NAME##_3, NAME##_4, NAME##_5, NAME##_6
#define TABLE_14(NAME)                                                                             \
    TABLE_6(NAME), NAME##_7, NAME##_8, NAME##_9, NAME##_10, NAME##_11, NAME##_12, NAME##_13,       \
        NAME##_14

#if defined(__x86_64__)
#define INLINE(TARGET) __attribute__((target(TARGET), always_inline)) static inline
#define UPPER_HALF     ((int)0xFFFF0000)

INLINE("avx512f") __m512 spread512(const float *x)
{
    return _mm512_set1_ps(*x);
}
#define TILE512(ROWS)                                                                              \
    TILE(tile512, "avx512f", __m512, 16, ROWS, _mm512_setzero_ps, _mm512_loadu_ps,                 \
         _mm512_storeu_ps, _mm512_add_ps, __m512, _mm512_load_ps, spread512, _mm512_fmadd_ps)
HEIGHTS_14(TILE512)

INLINE("avx2,fma") __m256 spread256(const float *x)
{
    return _mm256_set1_ps(*x);
}
#define TILE256(ROWS)                                                                              \
    TILE(tile256, "avx2,fma", __m256, 8, ROWS, _mm256_setzero_ps, _mm256_loadu_ps,                 \
         _mm256_storeu_ps, _mm256_add_ps, __m256, _mm256_load_ps, spread256, _mm256_fmadd_ps)
HEIGHTS_6(TILE256)

/* bf16: pairs of bf16 in 32-bit words. */
INLINE("avx512f") __m512i pairs512(const float *x)
{
    return _mm512_load_si512(x);
}
INLINE("avx512f") __m512i spread_pair512(const float *x)
{
    int pair;
    memcpy(&pair, x, sizeof pair);
    return _mm512_set1_epi32(pair);
}
INLINE("avx512f,avx512bf16") __m512 dot_pair512(__m512i x, __m512i right, __m512 sum)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)right);
}
#define TILE512_HALF(ROWS)                                                                         \
    TILE(tile512_half, "avx512f,avx512bf16", __m512, 16, ROWS, _mm512_setzero_ps, _mm512_loadu_ps, \
         _mm512_storeu_ps, _mm512_add_ps, __m512i, pairs512, spread_pair512, dot_pair512)
HEIGHTS_14(TILE512_HALF)

/* Thirty-two values at once; what is read of a last incomplete group is zero. */
__attribute__((target("avx512f,avx512bf16"))) static void round512(uint32_t *to, const float *from,
                                                                   int count)
{
    for (int k = 0; k < count; k += 32) {
        const int left = count - k;
        const unsigned rest = left > 16 && left < 32 ? (1u << (left - 16)) - 1 : 0;
        const __mmask16 low = (__mmask16)(left >= 16 ? 0xFFFF : (1u << left) - 1);
        const __mmask16 high = (__mmask16)(left >= 32 ? 0xFFFF : rest);
        const __mmask16 words = (__mmask16)(left >= 32 ? 0xFFFF : (1u << (left + 1) / 2) - 1);
        const __m512bh pairs = _mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(high, from + k + 16),
                                                   _mm512_maskz_loadu_ps(low, from + k));
        _mm512_mask_storeu_epi32(to + k / 2, words, (__m512i)pairs);
    }
}

INLINE("avx512f") __m512 fused_pair512(__m512i x, __m512i right, __m512 sum)
{
    const __m512i upper = _mm512_set1_epi32(UPPER_HALF);
    sum = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(x, upper)),
                          _mm512_castsi512_ps(_mm512_and_si512(right, upper)), sum);
    return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
                           _mm512_castsi512_ps(_mm512_slli_epi32(right, 16)), sum);
}
#define TILE512_FUSED(ROWS)                                                                        \
    TILE(tile512_fused, "avx512f", __m512, 16, ROWS, _mm512_setzero_ps, _mm512_loadu_ps,           \
         _mm512_storeu_ps, _mm512_add_ps, __m512i, pairs512, spread_pair512, fused_pair512)
HEIGHTS_14(TILE512_FUSED)

INLINE("avx2,fma") __m256i pairs256(const float *x)
{
    return _mm256_load_si256((const __m256i *)(const void *)x);
}
INLINE("avx2,fma") __m256i spread_pair256(const float *x)
{
    int pair;
    memcpy(&pair, x, sizeof pair);
    return _mm256_set1_epi32(pair);
}
INLINE("avx2,fma") __m256 fused_pair256(__m256i x, __m256i right, __m256 sum)
{
    const __m256i upper = _mm256_set1_epi32(UPPER_HALF);
    sum = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(x, upper)),
                          _mm256_castsi256_ps(_mm256_and_si256(right, upper)), sum);
    return _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(x, 16)),
                           _mm256_castsi256_ps(_mm256_slli_epi32(right, 16)), sum);
}
#define TILE256_FUSED(ROWS)                                                                        \
    TILE(tile256_fused, "avx2,fma", __m256, 8, ROWS, _mm256_setzero_ps, _mm256_loadu_ps,           \
         _mm256_storeu_ps, _mm256_add_ps, __m256i, pairs256, spread_pair256, fused_pair256)
HEIGHTS_6(TILE256_FUSED)

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

static const struct gemm_tiles tiles512_half = {
    .name = "AVX-512 with bf16",
    .rows = 14,
    .cols = 32,
    .tile = {{TABLE_14(tile512)}, {TABLE_14(tile512_half)}},
    .turn = turn256,
    .round = round512,
};
static const struct gemm_tiles tiles512 = {
    .name = "AVX-512",
    .rows = 14,
    .cols = 32,
    .tile = {{TABLE_14(tile512)}, {TABLE_14(tile512_fused)}},
    .turn = turn256,
    .round = round_any,
};
static const struct gemm_tiles tiles256 = {
    .name = "AVX2",
    .rows = 6,
    .cols = 16,
    .tile = {{TABLE_6(tile256)}, {TABLE_6(tile256_fused)}},
    .turn = turn256,
    .round = round_any,
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

static float half_of(uint32_t pair, bool upper)
{
    const uint32_t bits = upper ? pair & 0xFFFF0000u : pair << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void tile_plain_half(float *out, size_t stride, const float *left, const float *right,
                            int depth, enum gemm_mode mode)
{
    enum { COLS = 16 };
    float sum[COLS] = {0};
    (void)stride;
    if (mode == GEMM_CHAIN)
        memcpy(sum, out, sizeof sum);
    for (int k = 0; k < depth; k++)
        for (int j = 0; j < COLS; j++) {
            uint32_t x, y;
            memcpy(&x, &left[k], sizeof x);
            memcpy(&y, &right[k * COLS + j], sizeof y);
            sum[j] = fmaf(half_of(x, true), half_of(y, true), sum[j]);
            sum[j] = fmaf(half_of(x, false), half_of(y, false), sum[j]);
        }
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
    .name = "plain",
    .rows = 1,
    .cols = 16,
    .tile = {{NULL, tile_plain}, {NULL, tile_plain_half}},
    .turn = turn_plain,
    .round = round_any,
};

const struct gemm_tiles *gemm_tiles_at(size_t index)
{
    const struct gemm_tiles *sets[5] = {NULL};
    size_t count = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16"))
        sets[count++] = &tiles512_half;
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
