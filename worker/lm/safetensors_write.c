/* Writing tensors without a second copy in memory: header, then each tensor through one buffer. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static enum err_code write_all(int fd, const void *bytes, size_t len, const char *path,
                               struct err *err)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_os(err, errno, "write '%s'", path);
        at += n;
        len -= (size_t)n;
    }
    return ERR_OK;
}

static enum err_code write_tensor(int fd, const struct tensor_spec *spec, enum tensor_dtype dtype,
                                  uint8_t *chunk, const char *path, struct err *err)
{
    size_t elements = tensor_spec_elements(spec);
    size_t each = element_bytes(dtype);
    for (size_t start = 0; start < elements; start += CHUNK_ELEMENTS) {
        size_t n = elements - start < CHUNK_ELEMENTS ? elements - start : CHUNK_ELEMENTS;
        for (size_t i = 0; i < n; i++) {
            float value = spec->data[start + i];
            uint32_t bits = dtype == TENSOR_F32 ? float_bits(value) : bfloat16_from_float(value);
            put_little(chunk + each * i, bits, each);
        }
        enum err_code rc = write_all(fd, chunk, n * each, path, err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code write_content(int fd, const char *path, const struct tensor_spec *specs,
                                   size_t count, enum tensor_dtype dtype, struct err *err)
{
    struct strbuf header = {0};
    print_header(specs, count, dtype, &header);
    uint8_t *chunk = malloc((size_t)CHUNK_ELEMENTS * element_bytes(dtype));
    ASSERT(chunk != NULL);
    enum err_code rc = write_all(fd, header.data, header.len, path, err);
    for (size_t i = 0; rc == ERR_OK && i < count; i++)
        rc = write_tensor(fd, &specs[i], dtype, chunk, path, err);
    free(chunk);
    strbuf_release(&header);
    if (rc == ERR_OK && (fchmod(fd, FILE_MODE) != 0 || fsync(fd) != 0))
        rc = err_os(err, errno, "fsync '%s'", path);
    return rc;
}

enum err_code safetensors_write(const char *path, const struct tensor_spec *specs, size_t count,
                                enum tensor_dtype dtype, struct err *err)
{
    ASSERT(dtype == TENSOR_F32 || dtype == TENSOR_BF16);
    char temporary[4096];
    char folder[4096];
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return err_set(err, ERR_LIMIT, "write '%s': path too long", path);
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return err_os(err, errno, "create a file beside '%s'", path);
    enum err_code rc = write_content(fd, path, specs, count, dtype, err);
    close(fd);
    if (rc == ERR_OK && rename(temporary, path) != 0)
        rc = err_os(err, errno, "rename to '%s'", path);
    if (rc != ERR_OK) {
        unlink(temporary);
        return rc;
    }
    return file_sync_dir(slash ? folder : ".", err);
}
