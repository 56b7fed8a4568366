/* Writing tensors without a second copy in memory: header, then each tensor through one buffer. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "file.h"
#include "safetensors.h"
#include "str.h"

enum { CHUNK_ELEMENTS = 1 << 16, LENGTH_BYTES = 8, FILE_MODE = 0644 };

static void put_little(uint8_t *bytes, uint64_t value, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Round to nearest, ties to even; a NaN stays one. */
static uint16_t bfloat16_from_float(float value)
{
    uint32_t bits = float_bits(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static size_t element_bytes(enum tensor_dtype dtype)
{
    return dtype == TENSOR_F32 ? 4 : 2;
}

/* Header with its length in front, padded with spaces so that the data are aligned to 8 bytes. */
static void print_header(const struct tensor_spec *specs, size_t count, enum tensor_dtype dtype,
                         struct strbuf *out)
{
    static const char no_length[LENGTH_BYTES] = {0};
    size_t offset = 0;
    strbuf_append(out, no_length, LENGTH_BYTES);
    /* transformers refuses files that do not say which framework's layout they have. */
    strbuf_puts(out, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < count; i++) {
        size_t bytes = tensor_spec_elements(&specs[i]) * element_bytes(dtype);
        strbuf_printf(out, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", specs[i].name,
                      dtype == TENSOR_F32 ? "F32" : "BF16");
        if (specs[i].is_vector)
            strbuf_printf(out, "%d", specs[i].cols);
        else
            strbuf_printf(out, "%d,%d", specs[i].rows, specs[i].cols);
        strbuf_printf(out, "],\"data_offsets\":[%zu,%zu]}", offset, offset + bytes);
        offset += bytes;
    }
    strbuf_putc(out, '}');
    while (out->len % LENGTH_BYTES != 0)
        strbuf_putc(out, ' ');
    put_little((uint8_t *)out->data, out->len - LENGTH_BYTES, LENGTH_BYTES);
}

/* What a file is made of. */
struct content {
    const struct tensor_spec *specs;
    size_t count;
    enum tensor_dtype dtype;
    tensor_fill_f *fill;
    void *ctx;
    const char *path;
};

static enum err_code write_tensor(int fd, const struct content *c, const struct tensor_spec *spec,
                                  uint8_t *chunk, float *values, struct err *err)
{
    size_t elements = tensor_spec_elements(spec);
    size_t each = element_bytes(c->dtype);
    for (size_t start = 0; start < elements; start += CHUNK_ELEMENTS) {
        size_t n = elements - start < CHUNK_ELEMENTS ? elements - start : CHUNK_ELEMENTS;
        c->fill(c->ctx, spec, start, n, values);
        for (size_t i = 0; i < n; i++) {
            uint32_t bits =
                c->dtype == TENSOR_F32 ? float_bits(values[i]) : bfloat16_from_float(values[i]);
            put_little(chunk + each * i, bits, each);
        }
        enum err_code rc = file_write_all(fd, chunk, n * each, c->path, err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code write_content(int fd, const struct content *c, struct err *err)
{
    struct strbuf header = {0};
    print_header(c->specs, c->count, c->dtype, &header);
    uint8_t *chunk = malloc((size_t)CHUNK_ELEMENTS * element_bytes(c->dtype));
    float *values = malloc((size_t)CHUNK_ELEMENTS * sizeof *values);
    ASSERT(chunk != NULL && values != NULL);
    enum err_code rc = file_write_all(fd, header.data, header.len, c->path, err);
    for (size_t i = 0; rc == ERR_OK && i < c->count; i++)
        rc = write_tensor(fd, c, &c->specs[i], chunk, values, err);
    free(values);
    free(chunk);
    strbuf_release(&header);
    return rc;
}

static void fill_from_data(void *ctx, const struct tensor_spec *spec, size_t start, size_t count,
                           float *out)
{
    (void)ctx;
    memcpy(out, spec->data + start, count * sizeof *out);
}

enum err_code safetensors_write_filled(const char *path, const struct tensor_spec *specs,
                                       size_t count, enum tensor_dtype dtype, tensor_fill_f *fill,
                                       void *ctx, struct err *err)
{
    ASSERT(dtype == TENSOR_F32 || dtype == TENSOR_BF16);
    const struct content content = {specs, count, dtype, fill, ctx, path};
    struct file_replacement replacement;
    enum err_code rc = file_replace_begin(path, &replacement, err);
    if (rc != ERR_OK)
        return rc;
    rc = write_content(replacement.fd, &content, err);
    return file_replace_end(&replacement, FILE_MODE, rc, err);
}

enum err_code safetensors_write(const char *path, const struct tensor_spec *specs, size_t count,
                                enum tensor_dtype dtype, struct err *err)
{
    return safetensors_write_filled(path, specs, count, dtype, fill_from_data, NULL, err);
}
