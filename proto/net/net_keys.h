/* CURVE keys and the files that hold them. */
#ifndef TRIAD_NET_KEYS_H
#define TRIAD_NET_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* What a key's owner may do; bits, since a socket may admit several. */
enum net_role {
    NET_WORKER = 1, /* take and return work */
    NET_CLIENT = 2, /* submit, look, act */
    NET_VIEWER = 4, /* look only */
    NET_ROLES_ALL = NET_WORKER | NET_CLIENT | NET_VIEWER,
};
const char *net_role_name(enum net_role role); /* "worker"; one role, not several */
bool net_role_parse(const char *name, enum net_role *out);

/* Z85 text (RFC 32), 40 characters and NUL. */
struct net_public_key {
    char z85[41];
};

struct net_key_pair {
    struct net_public_key public_key;
    char secret_z85[41];
};

void net_key_pair_new(struct net_key_pair *out);
/* The 32 bytes of a key, as messages carry it, and back. */
#define NET_KEY_BYTES 32
void net_public_key_from_raw(const uint8_t raw[NET_KEY_BYTES], struct net_public_key *out);
bool net_public_key_to_raw(const struct net_public_key *key, uint8_t out[NET_KEY_BYTES]);

/* What a worker or client needs to reach a coordinator: one JSON file, mode 0600, one per role.
 * Loading refuses files that group or others can read (ERR_DENIED, with the chmod to run). */
struct net_access {
    char role[16];           /* net_role_name() */
    char endpoint[256];      /* control socket of that role */
    char data_endpoint[256]; /* blobs */
    struct net_public_key server;
    struct net_key_pair own;
};
/* ERR_CONFLICT when the file is already there: access files are never overwritten. */
NODISCARD enum err_code net_access_save(const char *path, const struct net_access *access,
                                        struct err *err);
NODISCARD enum err_code net_access_load(const char *path, struct net_access *out, struct err *err);

bool net_access_equal(const struct net_access *a, const struct net_access *b);

/* Parse an access file's text; `name` is what errors call it. ERR_INVALID for anything but that
 * JSON object with well-formed keys. */
NODISCARD enum err_code net_access_parse(const char *bytes, size_t len, const char *name,
                                         struct net_access *out, struct err *err);

/* The coordinator's folder of keys: server.key, client.key, worker.key (pairs; mode 0600), made
 * once by `triad keys init`. */
struct net_server_keys {
    struct net_key_pair server;
    struct net_key_pair client;
    struct net_key_pair worker;
};
/* All three appear at once, whatever interrupts it. ERR_CONFLICT when keys are already there (they
 * are never overwritten) or the folder holds other files. */
NODISCARD enum err_code net_server_keys_init(const char *folder, struct err *err);
NODISCARD enum err_code net_server_keys_load(const char *folder, struct net_server_keys *out,
                                             struct err *err);

/* Replace the worker's or the client's pair by a new one, in one step. */
NODISCARD enum err_code net_server_keys_rotate(const char *folder, enum net_role role,
                                               struct err *err);

#endif
