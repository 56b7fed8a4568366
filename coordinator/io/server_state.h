/* What the files of this folder share. */
#ifndef TRIAD_SERVER_STATE_H
#define TRIAD_SERVER_STATE_H

#include <uv.h>

#include "arena.h"
#include "artifacts.h"
#include "bounds.h"
#include "core.h"
#include "keys_watch.h"
#include "net.h"
#include "server.h"
#include "staging.h"
#include "store.h"
#include "str.h"

/* Which router a connection belongs to; the top byte of a peer number. */
enum server_socket { SOCKET_WORKER = 1, SOCKET_CLIENT, SOCKET_DATA, SOCKET_END };

#define TICK_MS 100
/* A commit takes milliseconds; one that takes this long is told. */
#define COMMIT_SLOW_MS 3000
/* Of a socket: bounds what a turn costs, so that a question is answered within two short ones. */
#define FRAMES_PER_TURN 128
/* The same for frames that take longer: a thousand workers that come at once, or records. What they
 * lead to (a commit, messages) takes about as long again. */
#define TURN_US 4000
/* Connections whose refused frames were logged; a newer one replaces the oldest. */
#define REFUSED_PEERS_REMEMBERED 64
/* Decoded frames of one turn: at this size the turn ends early, so that a flood of large frames
 * costs no more memory than this and one frame's decoding budget. */
#define TURN_BYTES_MAX ((size_t)4 * 1024 * 1024)

struct alloc_drive;
struct blob_peers;
struct placing;
struct janitor;

/* A request that would change something, come at a moment when only questions are answered. */
struct held_request {
    struct held_request *next;
    struct net_peer peer;
    enum net_role role;
    char user[64];
    size_t len;
    uint8_t frame[];
};

struct reply {
    uint64_t peer;
    struct msg msg;
    struct reply *next;
};

struct server {
    uv_loop_t *loop;
    struct net *net;
    struct net_socket *sockets[SOCKET_END];
    struct keys_watch keys;
    uv_timer_t tick;
    uv_idle_t turn_end;
    struct store *store;
    struct artifacts *artifacts;
    struct core *core;
    struct staging staging;
    struct janitor *janitor;
    struct alloc_drive *alloc_drive;
    struct core_options core_options;
    char *state_dir;
    char *version;
    int64_t started_ms;

    /* The core's clock stands still while this loop lags: a stall of ours is nobody's silence. */
    int64_t clock_seen_ms;
    int64_t clock_lag_ms;
    uint32_t loop_lag_ms_max;
    int64_t wake_at_ms;

    /* The turn under way. */
    bool in_turn;
    struct arena frames; /* decoded messages */
    struct arena answers;
    struct core_output out;
    size_t ops_applied;
    struct reply *replies, **replies_end;
    int64_t commit_ms; /* since when it is being committed; 0: it is not */
    /* Questions are answered within a turn, too (client_look()). */
    bool is_looking;
    int64_t looked_ns;
    struct held_request *held, **held_end; /* in the order in which they came */
    size_t held_bytes;  /* from TURN_BYTES_MAX on the socket is paused until they are done */
    uint64_t gone_peer; /* a worker's connection that a send found closed; 0: none */

    /* The state could not be written: no core, no work, errors for clients, until it can again. */
    bool in_trouble;
    struct err trouble;
    int64_t trouble_retry_ms;

    /* A piece of a blob found no room on the disk. Its sender waits and repeats it. */
    struct err blobs_full;
    int64_t blobs_full_ms; /* when that happened last; 0: there is room */

    /* Blobs that need not pass through us. */
    struct blob_peers *blob_peers;
    struct placing *placings;   /* being verified or made durable on threads */
    char *store_folder;         /* absolute; NULL: not in sight of others */
    struct digest *worker_keys; /* DATA_KEYS_MAX of them */
    size_t worker_key_count;
    uint64_t worker_keys_version;

    bool stopping;
    struct err fatal; /* code ERR_OK: none */
    uint64_t frames_received, frames_refused;
    uint64_t refused_peers[REFUSED_PEERS_REMEMBERED];
    size_t refused_peers_next;
};

/* ---- server.c ---- */

/* The clock of the core. */
int64_t server_now_ms(struct server *server);
/* 0 when the id cannot be expressed (libzmq's own ids always can). */
uint64_t server_peer_number(enum server_socket socket, const struct net_peer *peer);
/* Count a refused frame and say so once per connection. */
void server_refuse_frame(struct server *server, uint64_t peer, const char *user,
                         const struct err *err);
/* Decode a frame into the turn's memory. */
NODISCARD enum err_code server_decode(struct server *server, const uint8_t *bytes, size_t len,
                                      const char *senders, struct msg *out, struct err *err);
/* An error as a message; its text belongs to `arena`. */
struct msg server_error(struct arena *arena, uint64_t request, const struct err *err);
void server_fail(struct server *server, const struct err *err);

/* ---- turn.c ---- */

/* Make sure that the turn ends, and with it that what was queued is committed and sent. */
void turn_begin(struct server *server);
/* Commit and send at once. */
void turn_finish(struct server *server);
/* Let the core have an event; its ops go into the turn's transaction at once. */
void turn_step(struct server *server, struct core_event *event);
/* A reply to go out with the turn; fill it in. */
struct msg *turn_reply(struct server *server, uint64_t peer, enum msg_kind kind);
void turn_reply_error(struct server *server, uint64_t peer, uint64_t request,
                      const struct err *err);
/* Send at once what does not depend on the turn. */
void turn_send_now(struct server *server, uint64_t peer, struct msg *msg);
/* Load a new core from the store. */
NODISCARD enum err_code turn_load_core(struct server *server, struct err *err);
/* The state cannot be used: drop the turn and the core; turn_retry() tries to come back. */
void turn_trouble(struct server *server, const struct err *err);
void turn_retry(struct server *server);

/* ---- client_frames.c ---- */

/* Within a turn, as often as possible: answer the questions that have come in, if that is due. */
void client_look(struct server *server);
/* Answer those that come in, until `fd` can be read. */
void client_look_until(struct server *server, int fd);
/* What looks found and that is no question: do it; or forget it. */
void client_take_held(struct server *server);
void client_drop_held(struct server *server);

/* ---- data_frames.c, data_peers.c, placing.c ---- */

/* A write found no room: its sender is told that trying again later may help. */
enum err_code data_blobs_full(struct server *server, struct err *err);
void data_blobs_have_room(struct server *server);
NODISCARD enum err_code data_peers_open(struct server *server, struct err *err);
/* The list of keys was read anew: tell those who serve, forget those who may not any more. */
void data_peers_keys_changed(struct server *server);
void data_peers_free(struct server *server);
/* One of the messages about workers that hold blobs; false: it is none. */
bool data_peers_frame(struct server *server, uint64_t from, enum net_role role, const char *user,
                      const struct msg *msg);
NODISCARD enum err_code placing_begin(struct server *server, uint64_t from,
                                      const struct msg_blob_place *place, struct err *err);
/* A blob that came piece by piece is all here: its writer hears when it is durable; and, asking
 * again, under the new request. */
void placing_written(struct server *server, uint64_t from, const struct msg_blob_write *write,
                     struct artifacts_naming *naming);
void placing_asked(struct server *server, uint64_t from, const struct msg_blob_write *write);
/* False: too many wait for the disk already. */
bool placing_has_room(const struct server *server);
/* Threads give up soon; their work is dropped. */
void placing_stop(struct server *server);

/* ---- frames ---- */

net_receive_f worker_frame, client_frame, data_frame;

#endif
