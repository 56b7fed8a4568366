/* The numbers in tensors: conversion, and a look for those that are none. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "safetensors.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little endian, as we are");

enum { BLOCK_ELEMENTS = 4096 };

size_t tensor_dtype_bytes(enum tensor_dtype dtype)
{
    switch (dtype) {
    case TENSOR_F32:
        return 4;
    case TENSOR_F16:
    case TENSOR_BF16:
        return 2;
    case TENSOR_OTHER:
        return 0;
    }
    UNREACHABLE("unknown dtype");
}

/* Files give no alignment: elements are copied out before they are looked at. */
static uint16_t load_16(const uint8_t *bytes, size_t index)
{
    uint16_t value;
    memcpy(&value, bytes + 2 * index, sizeof value);
    return value;
}

static uint32_t load_32(const uint8_t *bytes, size_t index)
{
    uint32_t value;
    memcpy(&value, bytes + 4 * index, sizeof value);
    return value;
}

static float float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16 to binary32: every value is exact. */
static float float_from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = (half >> 10) & 0x1f;
    uint32_t fraction = half & 0x3ff;
    if (exponent == 0x1f)
        return float_from_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent != 0)
        return float_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float magnitude = (float)fraction * 0x1p-24f; /* zero and subnormals */
    return sign ? -magnitude : magnitude;
}

/* bfloat16 is the upper half of a float. */
static void convert_bf16(const uint8_t *bytes, size_t count, float *dest)
{
    for (size_t i = 0; i < count; i++)
        dest[i] = float_from_bits((uint32_t)load_16(bytes, i) << 16);
}

void tensor_convert_f32(enum tensor_dtype dtype, const void *from, size_t count, float *dest)
{
    switch (dtype) {
    case TENSOR_F32:
        memcpy(dest, from, count * sizeof *dest);
        return;
    case TENSOR_F16:
        for (size_t i = 0; i < count; i++)
            dest[i] = float_from_half(load_16(from, i));
        return;
    case TENSOR_BF16:
        convert_bf16(from, count, dest);
        return;
    case TENSOR_OTHER:
        break;
    }
    UNREACHABLE("no numbers");
}

enum err_code tensor_view_read_f32(const struct tensor_view *view, float *dest, struct err *err)
{
    if (view->dtype == TENSOR_OTHER)
        return err_set(err, ERR_INVALID, "read tensor '%s': dtype %s is not F32, F16 or BF16",
                       view->name, view->dtype_name);
    tensor_convert_f32(view->dtype, view->bytes, view->elements, dest);
    return ERR_OK;
}

/* All bits of the exponent are set in infinities and what is no number, and in them only. */
static bool is_bad(enum tensor_dtype dtype, const uint8_t *bytes, size_t index)
{
    switch (dtype) {
    case TENSOR_F32:
        return (load_32(bytes, index) & 0x7f800000) == 0x7f800000;
    case TENSOR_F16:
        return (load_16(bytes, index) & 0x7c00) == 0x7c00;
    case TENSOR_BF16:
        return (load_16(bytes, index) & 0x7f80) == 0x7f80;
    case TENSOR_OTHER:
        return false;
    }
    UNREACHABLE("unknown dtype");
}

/* Is there one among `count` elements? Without a branch in the loops, so that they are wide. */
static bool any_bad(enum tensor_dtype dtype, const uint8_t *bytes, size_t count)
{
    uint32_t mask = dtype == TENSOR_F16 ? 0x7c00 : 0x7f80, found = 0;
    if (dtype == TENSOR_F32) {
        for (size_t i = 0; i < count; i++)
            found |= (load_32(bytes, i) & 0x7f800000) == 0x7f800000;
        return found;
    }
    uint16_t narrow = (uint16_t)mask, found_narrow = 0;
    for (size_t i = 0; i < count; i++)
        found_narrow |= (uint16_t)((load_16(bytes, i) & narrow) == narrow);
    return found_narrow;
}

size_t tensor_view_bad(const struct tensor_view *view)
{
    const size_t each = tensor_dtype_bytes(view->dtype);
    if (each == 0)
        return view->elements;
    for (size_t start = 0; start < view->elements; start += BLOCK_ELEMENTS) {
        size_t left = view->elements - start;
        size_t count = left < BLOCK_ELEMENTS ? left : BLOCK_ELEMENTS;
        if (!any_bad(view->dtype, view->bytes + start * each, count))
            continue;
        for (size_t i = start; i < start + count; i++) {
            if (is_bad(view->dtype, view->bytes, i))
                return i;
        }
    }
    return view->elements;
}

/* madvise() for the pages of a tensor that are all its own: neighbours share the others. */
static void advise(const struct tensor_view *view, int advice)
{
    if (!view->is_mapped)
        return;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (uintptr_t)view->bytes;
    uintptr_t end = from + view->elements * tensor_dtype_bytes(view->dtype);
    from = (from + page - 1) / page * page;
    end = end / page * page;
    if (end > from)
        madvise((void *)from, end - from, advice); /* advice that fails costs time, no more */
}

void tensor_view_forget(const struct tensor_view *view)
{
    advise(view, MADV_DONTNEED);
}

void tensor_view_prefetch(const struct tensor_view *view)
{
    advise(view, MADV_WILLNEED);
}
