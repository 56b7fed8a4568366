#include "scripted_store.h"

#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "codec.h"

static struct scripted_blob *find(struct scripted_store *store, const struct digest *digest)
{
    for (size_t i = 0; i < store->blob_count; i++) {
        if (digest_equal(&store->blobs[i].digest, digest))
            return &store->blobs[i];
    }
    return NULL;
}

const struct scripted_blob *scripted_store_find(const struct scripted_store *store,
                                                const struct digest *digest)
{
    for (size_t i = 0; i < store->blob_count; i++) {
        if (digest_equal(&store->blobs[i].digest, digest) && store->blobs[i].is_complete)
            return &store->blobs[i];
    }
    return NULL;
}

static struct scripted_blob *new_blob(struct scripted_store *store, const struct digest *digest,
                                      uint64_t total)
{
    assert_true(store->blob_count < SCRIPTED_STORE_BLOBS_MAX);
    struct scripted_blob *blob = &store->blobs[store->blob_count++];
    *blob = (struct scripted_blob){.digest = *digest, .total = total};
    blob->bytes = malloc(total ? total : 1);
    assert_non_null(blob->bytes);
    return blob;
}

void scripted_store_add(struct scripted_store *store, const void *bytes, size_t len)
{
    struct digest digest = hash_bytes(bytes, len);
    struct scripted_blob *blob = new_blob(store, &digest, len);
    if (len)
        memcpy(blob->bytes, bytes, len);
    blob->len = len;
    blob->is_complete = true;
}

void scripted_store_release(struct scripted_store *store)
{
    for (size_t i = 0; i < store->blob_count; i++)
        free(store->blobs[i].bytes);
    for (size_t i = 0; i < store->late_count; i++)
        strbuf_release(&store->late[i].frame);
    memset(store, 0, sizeof *store);
}

static void send_frame(struct scripted_store *store, const struct net_peer *peer,
                       const struct strbuf *frame)
{
    struct err err;
    /* The peer may be gone: then nobody wants the answer. */
    enum err_code rc = net_router_send(store->router, peer, frame->data, frame->len, &err);
    assert_true(rc == ERR_OK || rc == ERR_NOT_FOUND);
}

static void let_one_arrive(struct scripted_store *store)
{
    if (store->late_count == 0)
        return;
    send_frame(store, &store->late[0].peer, &store->late[0].frame);
    strbuf_release(&store->late[0].frame);
    memmove(store->late, store->late + 1, --store->late_count * sizeof *store->late);
}

/* True: the answer is on its way for now. */
static bool is_delayed(struct scripted_store *store, const struct net_peer *peer,
                       const struct msg *m, struct strbuf *frame)
{
    const bool is_chunk = m->kind == MSG_BLOB_CHUNK;
    if (!store->is_late || (!is_chunk && m->kind != MSG_BLOB_WRITTEN))
        return false;
    const uint64_t request = is_chunk ? m->blob_chunk.request : m->blob_written.request;
    if (store->late_request != 0 && request != store->late_request)
        let_one_arrive(store);
    store->late_request = request;
    assert_true(store->late_count < SCRIPTED_STORE_BLOBS_MAX);
    store->late[store->late_count++] = (struct late_answer){*peer, *frame};
    return true;
}

static void answer(struct scripted_store *store, const struct net_peer *peer, const struct msg *m)
{
    struct strbuf frame = {0};
    struct err err;
    if (store->holds_answers) {
        store->held++;
        return;
    }
    assert_int_equal(codec_encode(m, FRAME_DATA_BYTES_MAX, &frame, &err), ERR_OK);
    if (is_delayed(store, peer, m, &frame))
        return;
    send_frame(store, peer, &frame);
    strbuf_release(&frame);
}

static void on_read(struct scripted_store *store, const struct net_peer *peer,
                    const struct msg_blob_read *read)
{
    const struct scripted_blob *blob = find(store, &read->digest);
    if (store->is_busy) {
        store->refused++;
        answer(store, peer,
               &(struct msg){.kind = MSG_ERROR, .error = {read->request, ERR_UNAVAILABLE, "busy"}});
        return;
    }
    if (store->breaks_after_reads && store->reads >= store->breaks_after_reads)
        return;
    store->reads++;
    assert_non_null(blob);
    assert_true(read->offset < blob->total);
    uint64_t left = blob->total - read->offset;
    size_t len = left < BLOB_CHUNK_BYTES ? (size_t)left : BLOB_CHUNK_BYTES;
    uint8_t *chunk = test_malloc(len);
    memcpy(chunk, blob->bytes + read->offset, len);
    chunk[0] ^= store->lies;
    uint32_t crc32c = hash_crc32c(chunk, len);
    struct msg m = {.kind = MSG_BLOB_CHUNK,
                    .blob_chunk = {read->request,
                                   read->digest,
                                   read->offset,
                                   blob->total,
                                   store->damages_chunks ? ~crc32c : crc32c,
                                   {chunk, len}}};
    answer(store, peer, &m);
    test_free(chunk);
}

static void on_write(struct scripted_store *store, const struct net_peer *peer,
                     const struct msg_blob_write *write)
{
    struct scripted_blob *blob = find(store, &write->digest);
    store->writes++;
    if (!blob)
        blob = new_blob(store, &write->digest, write->total);
    assert_int_equal(write->crc32c, hash_crc32c(write->data.data, write->data.len));
    if (!blob->is_complete && write->offset == blob->len) {
        if (write->data.len)
            memcpy(blob->bytes + blob->len, write->data.data, write->data.len);
        blob->len += write->data.len;
        if (blob->len == blob->total) {
            struct digest digest = hash_bytes(blob->bytes, blob->len);
            assert_true(digest_equal(&digest, &blob->digest));
            blob->is_complete = true;
        }
    }
    struct msg m = {.kind = MSG_BLOB_WRITTEN,
                    .blob_written = {write->request, write->digest, blob->len, blob->is_complete}};
    answer(store, peer, &m);
}

void scripted_store_receive(void *ctx, const struct net_peer *peer, enum net_role role,
                            const char *user, const uint8_t *bytes, size_t len)
{
    struct scripted_store *store = ctx;
    struct arena arena;
    struct msg m;
    struct err err = {0};
    (void)role;
    (void)user;
    store->frames++;
    if (store->drop_every && store->frames % store->drop_every == 0)
        return;
    arena_init(&arena, DECODE_BUDGET_BYTES);
    if (codec_decode(bytes, len, "D", &arena, &m, &err) != ERR_OK)
        fail_msg("%s", err.text);
    if (m.kind == MSG_DATA_HELLO) {
        store->frames--; /* asks for nothing */
        if (store->welcome) {
            struct msg reply = {.kind = MSG_DATA_WELCOME, .data_welcome = *store->welcome};
            reply.data_welcome.request = m.data_hello.request;
            answer(store, peer, &reply);
        }
    } else if (m.kind == MSG_BLOB_READ) {
        on_read(store, peer, &m.blob_read);
    } else if (m.kind == MSG_BLOB_WRITE) {
        on_write(store, peer, &m.blob_write);
    } else if (m.kind == MSG_BLOB_WHERE) {
        store->stats++;
        const struct scripted_blob *blob = scripted_store_find(store, &m.blob_where.digest);
        struct msg reply = {.kind = MSG_BLOB_SOURCES,
                            .blob_sources = {m.blob_where.request, blob ? (int64_t)blob->total : -1,
                                             store->sources, store->source_count}};
        answer(store, peer, &reply);
    } else if (m.kind == MSG_BLOB_HELD) {
        store->held_told += m.blob_held.digest_count;
    } else if (m.kind == MSG_BLOB_BAD) {
        assert_true(store->accused_count < SCRIPTED_STORE_BLOBS_MAX);
        store->accused[store->accused_count++] = m.blob_bad.server_key;
    } else if (m.kind == MSG_BLOB_PLACE) {
        store->places++;
        if (store->on_place)
            store->on_place(store, peer, &m.blob_place);
    } else {
        assert_int_equal(m.kind, MSG_BLOB_STAT);
        assert_int_equal(m.blob_stat.digest_count, 1);
        store->stats++;
        const struct scripted_blob *blob = scripted_store_find(store, &m.blob_stat.digests[0]);
        int64_t size = blob ? (int64_t)blob->total : -1;
        struct msg reply = {.kind = MSG_BLOB_SIZES, .blob_sizes = {m.blob_stat.request, &size, 1}};
        bool holds = store->holds_answers; /* the question is always answered */
        store->holds_answers = false;
        answer(store, peer, &reply);
        store->holds_answers = holds;
    }
    arena_release(&arena);
}
