#include "hash.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(crypto_generichash_state) <= sizeof(struct hash_state), "state fits");

static crypto_generichash_state *inner(struct hash_state *state)
{
    return (crypto_generichash_state *)(void *)state->opaque;
}

void hash_init(struct hash_state *state)
{
    crypto_generichash_init(inner(state), NULL, 0, DIGEST_BYTES);
}

void hash_update(struct hash_state *state, const void *bytes, size_t len)
{
    crypto_generichash_update(inner(state), bytes, len);
}

struct digest hash_final(struct hash_state *state)
{
    struct digest d;
    crypto_generichash_final(inner(state), d.bytes, DIGEST_BYTES);
    return d;
}

struct digest hash_bytes(const void *bytes, size_t len)
{
    struct digest d;
    crypto_generichash(d.bytes, DIGEST_BYTES, bytes, len, NULL, 0);
    return d;
}

enum err_code hash_file(const char *path, struct digest *out, struct err *err)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return err_os(err, errno, "open '%s'", path);
    struct hash_state state;
    uint8_t buffer[65536];
    size_t len = 0;
    hash_init(&state);
    while ((len = fread(buffer, 1, sizeof buffer, file)) > 0)
        hash_update(&state, buffer, len);
    int failed = ferror(file);
    int saved_errno = errno;
    fclose(file);
    if (failed)
        return err_os(err, saved_errno, "read '%s'", path);
    *out = hash_final(&state);
    return ERR_OK;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_BYTES) == 0;
}

bool digest_is_none(const struct digest *d)
{
    static const struct digest none;
    return digest_equal(d, &none);
}

char *digest_hex(const struct digest *d, char out[DIGEST_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = digits[d->bytes[i] >> 4];
        out[2 * i + 1] = digits[d->bytes[i] & 15];
    }
    out[2 * DIGEST_BYTES] = '\0';
    return out;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool digest_from_hex(const char *hex, struct digest *out)
{
    struct digest d;
    if (strlen(hex) != DIGEST_HEX_SIZE - 1)
        return false;
    for (int i = 0; i < DIGEST_BYTES; i++) {
        int high = hex_value(hex[2 * i]);
        int low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        d.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *out = d;
    return true;
}

/* Nibble table: 64 bytes of table, for processors without the instruction. */
static uint32_t crc32c_table(uint32_t crc, const uint8_t *p, size_t len)
{
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                       0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    for (size_t i = 0; i < len; i++) {
        crc = table[(crc ^ p[i]) & 15] ^ crc >> 4;
        crc = table[(crc ^ (uint32_t)p[i] >> 4) & 15] ^ crc >> 4;
    }
    return crc;
}

#ifdef __x86_64__
/* SSE 4.2 has this very polynomial: eight bytes in three cycles. */
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *p,
                                                               size_t len)
{
    uint64_t wide = crc;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; len > 0; p++, len--)
        crc = __builtin_ia32_crc32qi(crc, *p);
    return crc;
}
#endif

uint32_t hash_crc32c(const void *bytes, size_t len)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc32c_sse42(0xffffffffu, bytes, len);
#endif
    return ~crc32c_table(0xffffffffu, bytes, len);
}
