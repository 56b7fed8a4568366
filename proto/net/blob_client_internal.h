/* What the files of blob_client share; nobody else includes this.
 *   blob_client.c    the queue, the tick, frames in, beginning and end
 *   blob_get.c       an item comes in        blob_put.c    an item goes out
 *   blob_peer.c      the connection to another worker
 *   blob_near.c      threads that link or copy where the store's folder is in sight
 *   blob_presence.c  what we tell of ourselves, and what the coordinator tells of itself */
#ifndef TRIAD_BLOB_CLIENT_INTERNAL_H
#define TRIAD_BLOB_CLIENT_INTERNAL_H

#include <uv.h>

#include "blob_client.h"
#include "blob_serve.h"
#include "blob_sources.h"
#include "blob_transfer.h"
#include "str.h"

/* Nothing arrived for so long: what was asked or sent may be lost. On a slow link it is only late,
 * and repeating fills the link: so the wait doubles with every repetition, until one is answered
 * soon. */
#define RETRY_MS     2000
#define RETRY_MS_MAX 15000

enum blob_phase {
    BLOB_IDLE,
    BLOB_ASKING, /* BLOB_WHERE or BLOB_STAT */
    BLOB_NEAR, /* a thread links or copies from the store's folder or into it, or waits for fsync */
    BLOB_PLACING, /* put: the bytes are in the store's folder, the coordinator verifies them */
    BLOB_WAITING, /* get: those who have it are busy */
    BLOB_MOVING,
};

struct near_work;

struct blob_client {
    struct net *net;
    uv_loop_t *loop;
    struct net_key_pair own;
    struct net_socket *socket; /* to the coordinator */
    uv_timer_t timer;          /* runs while there are transfers */
    uv_timer_t beat;           /* tells of ourselves */
    int open_handles;
    bool closing;
    char *cache;
    char endpoint[256];
    char link[512];      /* what the socket last said about its connection */
    char waits_for[512]; /* why the store takes nothing now, in its words; or empty */
    int64_t patience_ms;
    struct blob_transfer *head;
    struct strbuf frame;

    /* The current item. */
    enum blob_phase phase;
    uint64_t request;
    int fd;
    char *temporary;             /* get: where the bytes gather */
    struct hash_state *hash;     /* get: of what moved; with fd, a thread's while it reads a part */
    uint64_t total, moved, next; /* bytes; `next` is the offset to ask for or send next */
    int in_flight;
    int64_t progress_ms;  /* when the item last got further */
    int64_t arrived_ms;   /* when anything about it last came */
    int64_t restarted_ms; /* when it last asked anew */
    int64_t retry_ms;     /* how long it waits before that */
    int64_t wait_until_ms;
    int64_t ticked_ms; /* a tick that comes late is our own delay, and nobody's silence */
    uint64_t nonce;    /* put: of the file in the store's folder */
    bool near_failed;
    struct near_work *near;

    /* Other workers. */
    struct blob_sources sources;
    struct net_socket *peer;
    struct digest peer_key; /* whom `peer` is connected to */
    bool peer_is_up;
    int64_t peer_since_ms; /* since then `peer_bytes` of this item came from it */
    uint64_t peer_bytes;
    int64_t peer_used_ms;

    /* Presence. */
    char worker[NAME_BYTES_MAX + 1];
    struct blob_serve *serve; /* borrowed; NULL: we serve nobody */
    bool is_welcome;          /* the coordinator knows the messages of msg_data_hello */
    int64_t settle_until_ms;  /* its answer is waited for until then; 0: not */
    int64_t heard_ms;
    uint64_t keys_version;
    int64_t beat_sent_ms;
    char *own_view;     /* where we see the store's folder; NULL: where the coordinator does */
    char *store_folder; /* NULL: not told */
    struct digest store_token;
    bool store_is_far; /* it is not in sight from here */
    struct blob_traffic traffic;
};

/* Set `err` with the blob's name in front, and give the transfer up. */
#define BLOB_FAIL(client, code, ...)                                                               \
    do {                                                                                           \
        struct err failure_;                                                                       \
        blob_fail(client, err_set(&failure_, code, __VA_ARGS__), &failure_);                       \
    } while (0)

#define BLOB_FAIL_OS(client, ...)                                                                  \
    do {                                                                                           \
        struct err failure_;                                                                       \
        blob_fail(client, err_os(&failure_, errno, __VA_ARGS__), &failure_);                       \
    } while (0)

/* ---- blob_client.c ---- */
int64_t blob_now_ms(const struct blob_client *client);
const struct blob_item *blob_current(const struct blob_client *client);
/* To the coordinator. False: not connected, or the queue is full; the tick or the next connection
 * repeats. */
bool blob_send(struct blob_client *client, const struct msg *m);
/* Send one message on a socket of ours. */
bool blob_send_to(struct blob_client *client, struct net_socket *socket, const struct msg *m);
void blob_fail(struct blob_client *client, enum err_code code, const struct err *err);
/* The current item is where it should be. */
void blob_item_done(struct blob_client *client);
/* Ask for, or send, what is not acknowledged, under a new request id. */
void blob_restart(struct blob_client *client);
/* Bytes or an acknowledgement of the item came, under this request id. */
void blob_arrived(struct blob_client *client, uint64_t request);
/* Keep the allowed number of chunks in flight. */
void blob_pump(struct blob_client *client);
/* Start items until one has to wait. To be called after everything that comes from the loop. */
void blob_advance(struct blob_client *client);
/* Decode a frame, hand it on and advance; `m` is NULL and `err` set when it is none. */
typedef void blob_message_f(struct blob_client *client, const struct msg *m, const struct err *err);
void blob_receive(struct blob_client *client, const uint8_t *bytes, size_t len,
                  blob_message_f *handle);

/* ---- blob_get.c ---- */
/* The coordinator's answer; sources only when it knows any. */
void blob_get_size(struct blob_client *client, int64_t size, const struct blob_source *sources,
                   size_t source_count);
void blob_get_chunk(struct blob_client *client, const struct msg_blob_chunk *chunk);
bool blob_get_send(struct blob_client *client);
/* The store's folder brought it, or could not. */
void blob_get_near_done(struct blob_client *client, enum err_code code, const struct err *err);
/* A thread has read what a former process fetched: `len` bytes of it. */
void blob_get_read(struct blob_client *client, uint64_t len, uint64_t print);
/* All bytes are right, durable, and have their name; or not. */
void blob_get_named(struct blob_client *client, enum err_code code, const struct err *err);
/* Go on with the next source. */
void blob_get_choose(struct blob_client *client);
void blob_get_tick(struct blob_client *client);

/* ---- blob_put.c ---- */
void blob_put_start(struct blob_client *client);
void blob_put_size(struct blob_client *client, int64_t size);
bool blob_put_send(struct blob_client *client);
void blob_put_written(struct blob_client *client, const struct msg_blob_written *written);
void blob_put_near_done(struct blob_client *client, enum err_code code, const struct err *err);
void blob_put_place(struct blob_client *client);
/* What was put into the store's folder is not wanted: the bytes go over the socket. */
void blob_put_by_socket(struct blob_client *client, const char *why);

/* ---- blob_peer.c ---- */
/* Connect to the current source, or go on with an open connection. */
void blob_peer_use(struct blob_client *client);
void blob_peer_close(struct blob_client *client);
void blob_peer_close_idle(struct blob_client *client);
/* It sent what it must not: banned, told to the coordinator, and the next source. */
void blob_peer_banned(struct blob_client *client, const struct source *who, const char *why);
void blob_peer_tick(struct blob_client *client);

/* ---- blob_near.c ---- */
bool blob_near_may_be_used(const struct blob_client *client);
void blob_near_take(struct blob_client *client);
void blob_near_place(struct blob_client *client);
/* Hash the first `len` bytes of the open part. */
void blob_near_read(struct blob_client *client, uint64_t len);
/* Make what was fetched durable and give it its name in the cache. */
void blob_near_name(struct blob_client *client);
/* Nobody waits for the thread any more. */
void blob_near_abandon(struct blob_client *client);

/* ---- blob_presence.c ---- */
void blob_presence_open(struct blob_client *client, const struct blob_client_options *options);
void blob_presence_release(struct blob_client *client);
void blob_presence_connected(struct blob_client *client);
void blob_presence_welcome(struct blob_client *client, const struct msg_data_welcome *welcome);
void blob_presence_holds(struct blob_client *client, const struct digest *digest, uint64_t size);

#endif
