/* Content digests: BLAKE2b-256 (RFC 7693) from libsodium. */
#ifndef TRIAD_HASH_H
#define TRIAD_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define DIGEST_BYTES    32
#define DIGEST_HEX_SIZE (2 * DIGEST_BYTES + 1)

/* All zero means "none". */
struct digest {
    uint8_t bytes[DIGEST_BYTES];
};

struct hash_state {
    _Alignas(
        64) uint8_t opaque[384]; /* a crypto_generichash_state; checked by a static assertion */
};

void hash_init(struct hash_state *state);
void hash_update(struct hash_state *state, const void *bytes, size_t len);
struct digest hash_final(struct hash_state *state);

struct digest hash_bytes(const void *bytes, size_t len);
/* Digest of a file's content, read in pieces. */
NODISCARD enum err_code hash_file(const char *path, struct digest *out, struct err *err);

bool digest_equal(const struct digest *a, const struct digest *b);
bool digest_is_none(const struct digest *d);
/* Lower-case hexadecimal, NUL-terminated; `out` holds DIGEST_HEX_SIZE bytes. Returns `out`. */
char *digest_hex(const struct digest *d, char out[DIGEST_HEX_SIZE]);
/* Parse exactly 64 hexadecimal digits; false otherwise. */
bool digest_from_hex(const char *hex, struct digest *out);

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), to notice damaged bytes in frames and columns. */
uint32_t hash_crc32c(const void *bytes, size_t len);

#endif
