/* Byte strings to dense numbers: the first distinct key is 0, the next 1, and so on. */
#ifndef TRIAD_INTERN_H
#define TRIAD_INTERN_H

#include <stddef.h>
#include <stdint.h>

#include "str.h"

#define INTERN_NONE UINT32_MAX

struct intern_key {
    size_t offset;
    uint32_t len;
    uint32_t hash;
};

/* Zero-initialise; free with intern_release(). Memory exhaustion aborts: callers bound their input.
 * At most 2^31 keys. */
struct intern {
    struct strbuf bytes; /* all keys, one after the other */
    struct intern_key *keys;
    uint32_t count;
    uint32_t keys_cap;
    uint32_t *slots; /* key number + 1, or 0; open addressing */
    uint32_t slots_count;
};

void intern_release(struct intern *table);

/* The number of a key, or INTERN_NONE. */
uint32_t intern_find(const struct intern *table, const void *bytes, size_t len);
/* The number of a key, which is added when it is new (then it equals the count before). */
uint32_t intern_add(struct intern *table, const void *bytes, size_t len);
/* The bytes of key `number`; borrowed until the next addition. */
struct str intern_key_at(const struct intern *table, uint32_t number);

#endif
