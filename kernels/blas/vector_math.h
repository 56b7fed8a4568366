/* What the hot loops share: function clones per instruction set, fixed-lane sums, and an
 * exponential that compilers can vectorise. All give the same bits on every instruction set: only
 * +, -, *, /, sqrt and selections, no fused products, and sums over KERNEL_LANES partial sums
 * whatever the vector width. */
#ifndef TRIAD_VECTOR_MATH_H
#define TRIAD_VECTOR_MATH_H

#include <stdint.h>
#include <string.h>

/* Sanitizers cannot run the resolvers of cloned functions; clang 14 does not clone static ones. */
#if defined(__clang__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||         \
    !defined(__x86_64__)
#define KERNEL_CLONES
#else
#if __GNUC__ >= 11
#define KERNEL_WIDEST "arch=x86-64-v4"
#else
#define KERNEL_WIDEST "avx512f" /* older compilers cannot dispatch on the level */
#endif
#define KERNEL_CLONES __attribute__((target_clones("default", "avx2", KERNEL_WIDEST)))
#endif

/* For loops that fuse on purpose, by __builtin_fmaf(): the clones have the instruction. */
#if defined(__clang__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||         \
    !defined(__x86_64__)
#define KERNEL_CLONES_FMA
#else
#define KERNEL_CLONES_FMA __attribute__((target_clones("default", "arch=haswell", KERNEL_WIDEST)))
#endif

#define KERNEL_INLINE static inline __attribute__((always_inline))

#define KERNEL_LANES 16

/* Largest error of vector_exp() in units in the last place, tested against libm. */
#define VECTOR_EXP_ULP 2.0

/* e^x for x <= 0 (and a little above), at most 2 units in the last place off (tested); below -87 it
 * is 0. NaN gives NaN. Cody-Waite reduction x = n ln 2 + r, |r| <= ln(2)/2, then the Taylor
 * polynomial of degree 7 (remainder below 2^-27 there). */
KERNEL_INLINE float vector_exp(float x)
{
    const float clamped = x < -87.0f ? -87.0f : x;
    const float shifted =
        clamped * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
    const float n = shifted - 12582912.0f;
    float r = clamped - n * 0.693359375f; /* ln 2 in two parts: the first product is exact */
    r = r - n * -2.12194440e-4f;
    float p = 1.9841270e-4f;
    p = p * r + 1.3888889e-3f;
    p = p * r + 8.3333333e-3f;
    p = p * r + 4.1666667e-2f;
    p = p * r + 1.6666667e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127u) << 23; /* the low bits of `shifted` hold n */
    float power;
    memcpy(&power, &bits, sizeof power);
    /* NaN first: its bits made an arbitrary power of two. */
    return x != x ? x : x < -87.0f ? 0.0f : p * power;
}

/* Rounded to the nearest bf16, ties to even; NaN stays NaN. */
KERNEL_INLINE uint32_t half_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
    return x != x ? (bits >> 16) | 0x40u : rounded;
}

/* The same as a float. */
KERNEL_INLINE float half_value(float x)
{
    const uint32_t bits = half_bits(x) << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Add up KERNEL_LANES partial sums pairwise, in a fixed order. */
KERNEL_INLINE float lanes_sum(const float lanes[KERNEL_LANES])
{
    float a[8], b[4];
    for (int i = 0; i < 8; i++)
        a[i] = lanes[i] + lanes[i + 8];
    for (int i = 0; i < 4; i++)
        b[i] = a[i] + a[i + 4];
    return (b[0] + b[2]) + (b[1] + b[3]);
}

KERNEL_INLINE float lanes_max(const float lanes[KERNEL_LANES])
{
    float best = lanes[0];
    for (int i = 1; i < KERNEL_LANES; i++)
        best = lanes[i] > best || lanes[i] != lanes[i] ? lanes[i] : best;
    return best;
}

/* Largest of `count` values; NaN when there is one (a maximum that hides a NaN would hide a broken
 * model: the sum of exponentials then shows it). */
KERNEL_INLINE float row_max(const float *x, int count)
{
    float lanes[KERNEL_LANES];
    int i = 0;
    for (int l = 0; l < KERNEL_LANES; l++)
        lanes[l] = x[l < count ? l : 0];
    for (i = KERNEL_LANES; i + KERNEL_LANES <= count; i += KERNEL_LANES)
        for (int l = 0; l < KERNEL_LANES; l++)
            lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
    for (; i < count; i++)
        lanes[i % KERNEL_LANES] = x[i] > lanes[i % KERNEL_LANES] ? x[i] : lanes[i % KERNEL_LANES];
    return lanes_max(lanes);
}

/* x[i] = e^(x[i] - shift) in place; returns the sum. */
KERNEL_INLINE float row_exp_sum(float *x, int count, float shift)
{
    float lanes[KERNEL_LANES] = {0};
    int i = 0;
    for (; i + KERNEL_LANES <= count; i += KERNEL_LANES)
        for (int l = 0; l < KERNEL_LANES; l++) {
            const float e = vector_exp(x[i + l] - shift);
            x[i + l] = e;
            lanes[l] += e;
        }
    for (; i < count; i++) {
        const float e = vector_exp(x[i] - shift);
        x[i] = e;
        lanes[i % KERNEL_LANES] += e;
    }
    return lanes_sum(lanes);
}

KERNEL_INLINE float row_dot(const float *a, const float *b, int count)
{
    float lanes[KERNEL_LANES] = {0};
    int i = 0;
    for (; i + KERNEL_LANES <= count; i += KERNEL_LANES)
        for (int l = 0; l < KERNEL_LANES; l++)
            lanes[l] += a[i + l] * b[i + l];
    for (; i < count; i++)
        lanes[i % KERNEL_LANES] += a[i] * b[i];
    return lanes_sum(lanes);
}

#endif
