/* Shared by the files of net; nobody else includes it. */
#ifndef TRIAD_NET_INTERNAL_H
#define TRIAD_NET_INTERNAL_H

#include <stdbool.h>
#include <uv.h>

#include "net.h"

/* One ZeroMQ socket watched by the loop: a ROUTER or DEALER, a monitor, or the ZAP handler. It lies
 * in its owner's memory, which must stay until `closed` has run. */
struct net_source {
    struct net *net;
    struct net_source *next;
    void *zmq;
    uv_poll_t poll;
    int frames_per_turn;
    uint64_t turn_ns; /* and no longer than this; 0: however long they take */
    bool closing;
    bool is_paused;
    void (*take)(struct net_source *source);   /* receive one message that is there */
    void (*closed)(struct net_source *source); /* the ZeroMQ socket is gone; may be NULL */
    void *owner;
};

/* Watch `source->zmq`; the other fields are set by the caller. */
NODISCARD enum err_code net_source_open(struct net *net, struct net_source *source,
                                        struct err *err);
bool net_source_has_input(const struct net_source *source); /* not while it is paused */
/* Take messages that are there: at most so many, and for `turn_ns` (0: however long they take). */
void net_source_take(struct net_source *source, int frames_max, uint64_t turn_ns);
/* Stop watching, then close the ZeroMQ socket in the handle's close callback. */
void net_source_close(struct net_source *source);
/* A handle counted in net->open_handles is gone; the last one of a closing net frees it. */
void net_handle_closed(struct net *net);

struct net_allowed {
    struct net_public_key key;
    enum net_role role;
    char user[64];
};

struct net {
    uv_loop_t *loop;
    void *zmq; /* context */
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;
    struct net_source zap;
    struct net_source *sources; /* newest first */
    struct net_socket *sockets;
    struct net_allowed *allowed;
    size_t allowed_count;
    struct net_counts counts;
    uint64_t monitors; /* opened so far: each gets a name of its own */
    bool closing;
    int open_handles; /* of the loop, whose close callbacks have not run */
    void (*done)(void *ctx);
    void *done_ctx;
};

/* Bind the ZAP handler (RFC 27). Must come before any CURVE socket. */
NODISCARD enum err_code net_auth_open(struct net *net, struct err *err);
/* The entry under which a key is allowed, or NULL. */
const struct net_allowed *net_auth_find(const struct net *net, const char *key_z85);
/* The ZAP domain that asks for these roles; `out` holds NET_DOMAIN_BYTES. */
#define NET_DOMAIN_BYTES 16
void net_auth_domain(unsigned roles, char out[NET_DOMAIN_BYTES]);

/* Receive all parts of one message, keeping the first `parts_max`. Returns how many there were; 0
 * when there is no message. Close the kept ones. */
int net_receive_parts(void *zmq, void *parts, int parts_max);

#endif
