/* A coordinator process with a scripted worker and a scripted client on a loop of ours. The worker
 * delivers whatever it is given at the next beat, and says HELLO again when its session is gone. */
#ifndef TRIAD_COORDINATOR_WORLD_H
#define TRIAD_COORDINATOR_WORLD_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "arena.h"
#include "await.h"
#include "net.h"
#include "vocab.h"

#define JOBS          20
#define ITEMS_PER_JOB 3

/* A lease that the scripted worker holds. */
struct held {
    struct lease_key lease;
    bool active;
};

struct world {
    char dir[64];
    pid_t coordinator;
    uv_loop_t loop;
    struct net *net;
    struct net_socket *worker, *client;
    uv_timer_t beat;
    uint64_t session;
    struct held held[JOBS];
    size_t results_acked, leases_seen;
    struct arena arena; /* of the latest client reply */
    struct msg reply;
    bool replied;
    uint64_t request;
    char no_session[256]; /* why, the latest time */
    bool stranger_connected;
    char stranger_text[256];
};

/* Set-up and tear-down of a group of tests: a state folder of its own, the process, both peers. */
int world_set_up(void **state);
int world_tear_down(void **state);

/* Start a coordinator on the folder; it says on `ready_fd` when it is ready. */
pid_t world_spawn(const char *dir, int ready_fd);
/* Start the world's own one, and wait until it is ready. */
void world_start(struct world *w);
/* The status with which the process ends. */
int world_wait_for(pid_t pid);

void world_run_for(struct world *w, uint64_t ms);
void world_send(struct net_socket *socket, const struct msg *m);
/* Ask until answered; the reply is good until the next question. */
const struct msg *world_ask(struct world *w, struct msg *m);
/* One more connection with the key of that role. */
struct net_socket *world_dial_as(struct world *w, const char *role, net_receive_f *receive,
                                 void *ctx);
/* What the scripted worker does with a frame. */
void world_on_worker_frame(void *ctx, const struct net_peer *peer, enum net_role role,
                           const char *user, const uint8_t *bytes, size_t len);

#endif
