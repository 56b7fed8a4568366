/* ZeroMQ sockets on a libuv loop, encrypted and authenticated (CURVE, RFC 26; ZAP, RFC 27), fail
 * closed. The only folder that sees ZeroMQ. What holds on Debian 12's libzmq and why each option is
 * set: automatic routing ids (a new id per connection is free fencing), ROUTER_MANDATORY with
 * DONTWAIT (otherwise frames vanish or one slow peer blocks everybody), MAXMSGSIZE, ZAP bound
 * before any CURVE socket with the domain enforced (otherwise any key is accepted),
 * prepare/check/idle watchers (ZMQ_FD is edge-triggered and a send may swallow the edge of a
 * receive). All calls and callbacks are on the loop's thread. */
#ifndef TRIAD_NET_H
#define TRIAD_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "err.h"
#include "net_keys.h"

struct net;        /* a ZeroMQ context with its ZAP handler, on one loop */
struct net_socket; /* a ROUTER or a DEALER */

/* Of an id that libzmq gives by itself. */
#define NET_PEER_BYTES 5

/* One connection of a ROUTER: valid until it reconnects, then it is another peer. Frames of who
 * chose an id for himself are refused. */
struct net_peer {
    uint8_t id[NET_PEER_BYTES];
    uint8_t len;
};

/* A frame arrived. `peer` and `role` are meaningful for routers only (dealers: NULL, 0). `user` is
 * the ZAP user id: the name under which the key was allowed. Bytes are valid during the call. */
typedef void net_receive_f(void *ctx, const struct net_peer *peer, enum net_role role,
                           const char *user, const uint8_t *bytes, size_t len);

/* One per process and loop. Binds the ZAP handler first. */
NODISCARD enum err_code net_new(uv_loop_t *loop, struct net **out, struct err *err);
/* Close all sockets, then the handler and the context. Run the loop until the callback fires, then
 * the pointer is gone. `done` may be NULL. */
void net_free(struct net *net, void (*done)(void *ctx), void *ctx);

/* Allow a public key under a role; allow-list entries may be added and removed while running.
 * ERR_CONFLICT when the key is already listed under another role. */
NODISCARD enum err_code net_allow(struct net *net, const struct net_public_key *key,
                                  enum net_role role, const char *user, struct err *err);
/* From now on the key is refused, and frames from its open connections are dropped. */
void net_revoke(struct net *net, const struct net_public_key *key);

/* What came in since net_new. */
struct net_counts {
    uint64_t frames_received;    /* handed to a receive callback */
    uint64_t frames_refused;     /* multi-part, too large, of a revoked key or a self-given id */
    uint64_t handshakes_refused; /* keys that are not allowed on the socket they tried */
};
struct net_counts net_counts(const struct net *net);

/* The thread of ZeroMQ's that encrypts and moves a socket's frames. One serves its connections in
 * turn, so that what must not wait behind others has another one: heartbeats not behind bulk, a
 * person's question not behind a thousand workers. */
enum net_io { NET_IO_CONTROL, NET_IO_BULK, NET_IO_QUESTIONS, NET_IO_COUNT };

struct net_router_options {
    const char *endpoint;              /* "tcp://127.0.0.1:*" lets the kernel pick the port */
    const struct net_key_pair *server; /* borrowed during the call */
    unsigned roles;                    /* bits of enum net_role that may connect */
    enum net_io io;
    size_t frame_bytes_max; /* larger frames drop the connection */
    int frames_per_turn;    /* budget of one loop turn; 0: 256 */
    int turn_us;            /* a turn ends after so long, too; 0: it does not */
    int queue_frames; /* to send, for each peer that does not read; 0: 256, or 64 chunks of data */
    net_receive_f *receive;
    void *ctx;
};
NODISCARD enum err_code net_router_new(struct net *net, const struct net_router_options *options,
                                       struct net_socket **out, struct err *err);
/* The endpoint really bound, with its port; borrowed. */
const char *net_endpoint(const struct net_socket *socket);

struct net_dealer_options {
    const char *endpoint;
    const struct net_public_key *server; /* borrowed during the call */
    const struct net_key_pair *own;
    enum net_io io;
    size_t frame_bytes_max;
    int frames_per_turn;
    net_receive_f *receive;
    /* Connected, or handshake trouble ("connection refused", "the coordinator does not know this
     * key"), at most once per change of state; connected = true when the handshake succeeded. May
     * be NULL. */
    void (*status)(void *ctx, int connected, const char *text);
    void *ctx;
};
/* Connects and reconnects by itself. What is sent while there is no connection fails at once
 * instead of waiting in a queue: a peer that comes back must not be flooded with what is long
 * stale. */
NODISCARD enum err_code net_dealer_new(struct net *net, const struct net_dealer_options *options,
                                       struct net_socket **out, struct err *err);

/* Did the coordinator refuse our key, the last time it answered? */
bool net_dealer_is_refused(const struct net_socket *socket);

/* Send one frame without blocking. ERR_LIMIT: the peer's queue is full (our credit accounting is
 * broken, or it is stuck), or the frame is larger than the socket's; ERR_NOT_FOUND: that connection
 * is gone, or (dealers) `status` has not said connected yet. */
NODISCARD enum err_code net_router_send(struct net_socket *socket, const struct net_peer *peer,
                                        const void *bytes, size_t len, struct err *err);
NODISCARD enum err_code net_dealer_send(struct net_socket *socket, const void *bytes, size_t len,
                                        struct err *err);
/* Take the frames that have come in on a router, for as long as that takes, but no longer than
 * `us`: between the loop's own looks at it, also from within a receive callback. */
void net_router_take(struct net_socket *socket, int us);
/* The same for frames that come in, until `fd` can be read. */
void net_router_take_until(struct net_socket *socket, int fd);
/* A paused socket leaves its frames where they are. */
void net_socket_pause(struct net_socket *socket, bool is_paused);
/* Close one socket; no callback of it fires afterwards. */
void net_socket_free(struct net_socket *socket);

#endif
