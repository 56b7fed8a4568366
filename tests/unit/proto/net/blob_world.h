/* A worker that fetches one blob, with a scripted coordinator and others that have it too. The
 * names are short because every line of a test has one. */
#ifndef TRIAD_BLOB_WORLD_H
#define TRIAD_BLOB_WORLD_H

#include "blob_client.h"
#include "blob_serve.h"
#include "bounds.h"
#include "net_pair.h"
#include "scripted_store.h"

#define CHUNKS 64
#define LEN    ((size_t)CHUNKS * BLOB_CHUNK_BYTES)

/* How a transfer ended; filled by on_done(), once. */
struct ending {
    bool is_over;
    enum err_code code;
    struct err err;
};
void on_done(void *ending, enum err_code code, const struct err *err);
/* Bring a blob of a cache into the store, as a file. */
void put_blob(struct blob_client *client, const char *cache, const struct digest *digest,
              struct ending *e);

struct blob_world {
    struct net_pair pair;
    struct scripted_store coordinator, peers[2]; /* scripted workers */
    struct blob_source sources[2];
    struct msg_data_welcome welcome;
    struct digest keys[1];
    struct blob_client *client;
    struct blob_serve *serve;
    char folder[64], cache[128], other[128], store[128];
    uint8_t *bytes; /* LEN random ones, which the coordinator has */
    struct digest digest;
};

int blob_world_set_up(void **state);
int blob_world_tear_down(void **state);
#define BLOB_TEST(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, blob_world_set_up, blob_world_tear_down)

/* The worker's client of blobs, anew. */
void open_client(struct blob_world *f);
/* A scripted worker that has the blob and is named as the next source. */
struct scripted_store *add_peer(struct blob_world *f);
/* A real server that has the blob and lets our worker's key read it, named as the only source. */
void serve_it(struct blob_world *f);
void begin(struct blob_world *f, struct ending *e);
/* It comes, whole. */
void end_well(struct blob_world *f, struct ending *e);
/* So many bytes came from the coordinator. What it was asked for may be more: who waits for long
 * asks again, and of a client that ended questions are under way yet. */
void took(struct blob_world *f, uint64_t bytes);

#endif
