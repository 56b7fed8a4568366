/* The store's side of docs/protocol.md section 5, in memory, with faults to order: what blob_client
 * is tested against. */
#ifndef TRIAD_SCRIPTED_STORE_H
#define TRIAD_SCRIPTED_STORE_H

#include <stdbool.h>

#include "net.h"
#include "str.h"
#include "vocab.h"

#define SCRIPTED_STORE_BLOBS_MAX 64

struct scripted_blob {
    struct digest digest;
    uint8_t *bytes;
    uint64_t len;
    uint64_t total;
    bool is_complete;
};

struct scripted_store {
    struct net_socket *router; /* set by the test */
    struct scripted_blob blobs[SCRIPTED_STORE_BLOBS_MAX];
    size_t blob_count;
    size_t frames, stats, reads, writes; /* seen */
    size_t drop_every;                   /* every n-th frame is ignored; 0: none */
    bool damages_chunks;
    bool holds_answers; /* count instead of answering: how many are outstanding? */
    size_t held;
    /* A slow link: answers about bytes wait in it, and each repetition of a question (that is time
     * passing) lets the oldest one arrive. */
    bool is_late;
    struct late_answer {
        struct net_peer peer;
        struct strbuf frame;
    } late[SCRIPTED_STORE_BLOBS_MAX];
    size_t late_count;
    uint64_t late_request; /* the newest */
    /* What a coordinator that knows DATA_HELLO adds; NULL: it does not. */
    const struct msg_data_welcome *welcome;
    struct blob_source *sources; /* told to whoever asks where a blob is */
    size_t source_count;
    size_t held_told, places;
    struct digest accused[SCRIPTED_STORE_BLOBS_MAX];
    size_t accused_count;
    void (*on_place)(struct scripted_store *store, const struct net_peer *peer,
                     const struct msg_blob_place *place);
    bool is_busy;                       /* a worker with too many readers */
    size_t refused, breaks_after_reads; /* it falls silent after so many; 0: never */
    bool lies;                          /* its bytes are not the blob's, its checksums are */
};

net_receive_f scripted_store_receive; /* ctx: struct scripted_store */
void scripted_store_add(struct scripted_store *store, const void *bytes, size_t len);
const struct scripted_blob *scripted_store_find(const struct scripted_store *store,
                                                const struct digest *digest);
void scripted_store_release(struct scripted_store *store);

#endif
