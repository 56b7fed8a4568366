/* Talking to the coordinator of a state folder: the one that runs, or a private one for as long as
 * a command needs to read or change what is stored. */
#ifndef TRIAD_CONNECTION_H
#define TRIAD_CONNECTION_H

#include <stdbool.h>

#include "cli.h"
#include "client_call.h"
#include "local.h"
#include "vocab.h"

enum connection_mode {
    CONNECTION_RUNNING, /* one must be running: it has to do something over time */
    CONNECTION_STATE,   /* else start one over the state folder's database until connection_close()
                         */
};

struct connection {
    struct client *client;
    const char *access_path;
    struct net_access access;
    struct local_child coordinator; /* pid 0: we did not start it */
};

/* Connect as --access and --state say and make sure that somebody answers. ERR_UNAVAILABLE with
 * what to do when nobody does; ERR_DENIED when our key is refused. Close with connection_close(),
 * also after a failure. */
NODISCARD enum err_code connection_open(struct cli *cli, enum connection_mode mode,
                                        struct connection *out, struct err *err);
/* Also stops a private coordinator. Accepts a zeroed struct. */
void connection_close(struct connection *c);

/* One request and its reply of any kind. */
NODISCARD enum err_code connection_ask(struct connection *c, const struct msg *request,
                                       struct arena *arena, struct msg *reply_out, struct err *err);
/* One request and its reply, which must be of kind `wanted`; the reply belongs to `arena`. */
NODISCARD enum err_code connection_call(struct connection *c, const struct msg *request,
                                        enum msg_kind wanted, struct arena *arena,
                                        struct msg *reply_out, struct err *err);

/* Does a coordinator hold the state folder's lock right now? */
bool connection_state_is_served(const char *state_dir);

/* Is an experiment of this name stored? ERR_NOT_FOUND with the names there are. */
NODISCARD enum err_code connection_check_experiment(struct connection *c, const char *name,
                                                    struct arena *arena, struct err *err);

/* Whoever puts files into the state folder's cache and takes them away again does so alone: another
 * command's may be the same ones. Waits, and says so; close(2) lets the next one go on. */
NODISCARD enum err_code connection_lock_cache(struct cli *cli, int *fd_out, struct err *err);

#endif
