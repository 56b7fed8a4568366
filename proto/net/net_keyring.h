/* Who besides the coordinator's own worker and client key may connect: one file per key in
 * KEYS/allowed/, named after its owner, holding a role and a public key and no secret. Adding a
 * file admits a key, removing it revokes the key, both while the coordinator runs: it looks at the
 * folder every second.
 *
 *   {"triad_allowed": 1, "role": "worker", "public": "…"}                                        */
#ifndef TRIAD_NET_KEYRING_H
#define TRIAD_NET_KEYRING_H

#include "net_keys.h"

#define NET_KEYRING_MAX        1024
#define NET_KEYRING_NAME_BYTES 64

struct net_keyring_entry {
    char name[NET_KEYRING_NAME_BYTES];
    enum net_role role;
    struct net_public_key key;
};

struct net_keyring {
    struct net_keyring_entry *entries; /* sorted by name */
    size_t count;
};

/* Read the entries of `keys_folder`; none when it has no folder `allowed`. A file that is no entry
 * is left out: it admits nobody, and `refused` is told (may be NULL). ERR_LIMIT beyond
 * NET_KEYRING_MAX. Free with net_keyring_release(), which accepts a zeroed struct. */
NODISCARD enum err_code net_keyring_load(const char *keys_folder, struct net_keyring *out,
                                         void (*refused)(const struct err *why), struct err *err);
void net_keyring_release(struct net_keyring *keyring);

/* May this be the name of an entry? Letters, digits, '.', '_' and '-', not beginning with '.', at
 * most NET_KEYRING_NAME_BYTES - 1 bytes, and not the name of a role: those are the own keys. */
bool net_keyring_name_is_good(const char *name);

/* Admit a key, durably. ERR_CONFLICT when the name is taken, ERR_INVALID when it cannot be one. */
NODISCARD enum err_code net_keyring_add(const char *keys_folder,
                                        const struct net_keyring_entry *entry, struct err *err);
/* Revoke a key, durably. ERR_NOT_FOUND. */
NODISCARD enum err_code net_keyring_remove(const char *keys_folder, const char *name,
                                           struct err *err);

/* Parse an entry's text; `name` is what errors call it. */
NODISCARD enum err_code net_keyring_parse(const char *bytes, size_t len, const char *name,
                                          struct net_keyring_entry *out, struct err *err);

#endif
