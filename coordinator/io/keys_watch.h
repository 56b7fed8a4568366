/* Who may connect to this coordinator, kept as the folder of keys says while it runs: keys are
 * admitted, rotated and revoked by changing files there (triad keys …), without a restart and
 * without a message that could be forged. Fail closed: a file that cannot be understood admits
 * nobody, and while the folder cannot be read the last known list stays, and nobody is added. */
#ifndef TRIAD_KEYS_WATCH_H
#define TRIAD_KEYS_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "hash.h"
#include "net.h"
#include "net_keyring.h"
#include "server.h"

struct keys_watch {
    struct net *net; /* borrowed */
    char *keys_dir, *state_dir, *listen, *advertise;
    char endpoints[3][256]; /* as others reach workers', clients', blobs' socket; "" until bound */
    struct net_server_keys pairs;
    struct net_keyring allowed; /* everyone the net admits now, the own keys first */
    uint64_t stamp;             /* changes when the folder does; 0: read it at the next look */
    int64_t looked_ms;
    bool failing; /* the folder could not be read; said once */
};

/* Read the keys and admit them. `net` is borrowed until keys_watch_close(). */
NODISCARD enum err_code keys_watch_open(struct keys_watch *watch, struct net *net,
                                        const struct server_options *options, struct err *err);
/* The server's own pair, for its sockets; borrowed. It is read once: a new one needs a restart. */
const struct net_key_pair *keys_watch_server(const struct keys_watch *watch);
/* The sockets are bound: write client.access and worker.access. */
NODISCARD enum err_code keys_watch_bound(struct keys_watch *watch, const char *workers,
                                         const char *clients, const char *blobs, struct err *err);
/* Once a second: has the folder changed? True when the list of who may connect was read anew. */
bool keys_watch_look(struct keys_watch *watch, int64_t now_ms);
bool keys_watch_has_user(const struct keys_watch *watch, const char *user);
/* Public keys of workers, 32 bytes each, at most `max`; returns how many. */
size_t keys_watch_worker_keys(const struct keys_watch *watch, struct digest *out, size_t max);
/* Accepts a zeroed struct. */
void keys_watch_close(struct keys_watch *watch);

#endif
