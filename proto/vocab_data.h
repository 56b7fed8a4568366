/* The part of vocab.h about blobs that need not pass through the coordinator (docs/protocol.md
 * section 5); include that. An end that does not know these kinds drops them, and blobs go through
 * the coordinator. */
#ifndef TRIAD_VOCAB_DATA_H
#define TRIAD_VOCAB_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hash.h"

/* Sent on connecting and every few seconds: who we are, what we serve, what we moved so far. */
struct msg_data_hello {
    uint64_t request;
    const char *worker;       /* its name; empty: a client */
    const char *endpoint;     /* where it serves its cache to other workers; empty: nowhere */
    struct digest server_key; /* of that socket: the 32 bytes of a CURVE key */
    uint64_t keys_version;    /* of the list of keys that it has; 0: none */
    uint64_t coordinator_bytes, peer_bytes, shared_bytes; /* fetched, by where from */
    uint64_t served_bytes;                                /* sent to other workers */
};

/* The answer; also sent unasked (request 0) to those who serve when the list of keys changes. */
struct msg_data_welcome {
    uint64_t request;
    uint64_t keys_version;
    bool has_keys;       /* the list is another one than the asker's: here it is */
    struct digest *keys; /* public keys that may fetch from a worker */
    size_t key_count;
    const char *store_folder;  /* where the coordinator's blobs lie; whoever sees the same folder */
    struct digest store_token; /* holds this (blob_folder.h) and need not send bytes */
};

/* Who has this blob? Answered with its size at the coordinator and other workers that hold it. */
struct msg_blob_where {
    uint64_t request;
    struct digest digest;
};

struct blob_source {
    const char *worker;
    const char *endpoint;
    struct digest server_key;
};

struct msg_blob_sources {
    uint64_t request;
    int64_t size; /* -1: the coordinator does not have it */
    struct blob_source *sources;
    size_t source_count; /* to be tried in this order, the coordinator last */
};

struct msg_blob_held { /* the sender serves these from now on: a hint, not a promise */
    struct digest *digests;
    size_t digest_count;
};

struct msg_blob_bad { /* a worker served bytes of this blob that are not its own */
    struct digest digest;
    struct digest server_key;
};

/* The sender has put the blob's bytes into the store's folder (blob_folder_incoming()): verify
 * them and give them their name. Answered like BLOB_WRITE; repeated until complete. */
struct msg_blob_place {
    uint64_t request;
    struct digest digest;
    uint64_t size;
    uint64_t nonce;
};

/* What moved where, worker by worker. */
struct msg_list_traffic {
    uint64_t request;
    const char *after; /* empty first, then the last name of the page before */
};

struct traffic_row {
    const char *worker, *endpoint;
    uint64_t blobs_held; /* that it is known to serve */
    uint64_t coordinator_bytes, peer_bytes, shared_bytes, served_bytes;
    uint64_t accusations; /* others found wrong bytes of it */
    int64_t seen_ms;
};

struct msg_traffic {
    uint64_t request;
    struct traffic_row *rows; /* by name */
    size_t row_count;
    bool more;
};

#endif
