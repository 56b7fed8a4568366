/* A server's net and a client's net on one loop, with keys, for the tests of net. */
#ifndef TRIAD_NET_PAIR_H
#define TRIAD_NET_PAIR_H

#include <stdbool.h>
#include <uv.h>

#include "await.h"
#include "net.h"

struct net_pair {
    uv_loop_t loop;
    uv_timer_t ticker;
    struct net *server_net;
    struct net *client_net;
    struct net_key_pair server, worker, client, stranger; /* stranger is not allowed */
};

void net_pair_open(struct net_pair *pair);
/* Closes both nets and fails when a handle is left on the loop. */
void net_pair_close(struct net_pair *pair);

/* What one end saw, filled by net_seen_receive() and net_seen_status(). */
struct net_seen {
    size_t frames;
    size_t last_len;
    uint8_t last_byte;
    struct net_peer peer;
    enum net_role role;
    char user[64];
    bool is_connected;
    bool has_trouble; /* since the last time it was connected */
    size_t changes;
    char text[512];
};
net_receive_f net_seen_receive;
void net_seen_status(void *seen, int connected, const char *text);

/* A router of the server, open to `roles`, on a port the kernel picks. */
struct net_socket *net_pair_router(struct net_pair *pair, unsigned roles, size_t frame_bytes_max,
                                   net_receive_f *receive, void *ctx);
/* A dealer of the client net with `own`, connected to `router`. */
struct net_socket *net_pair_dealer(struct net_pair *pair, const struct net_socket *router,
                                   const struct net_key_pair *own, size_t frame_bytes_max,
                                   struct net_seen *seen);
/* The same, and it is connected. */
struct net_socket *net_pair_dial(struct net_pair *pair, const struct net_socket *router,
                                 const struct net_key_pair *own, size_t frame_bytes_max,
                                 struct net_seen *seen);
/* Send a frame; a failure ends the test. */
void net_pair_send(struct net_socket *dealer, const void *bytes, size_t len);

#endif
