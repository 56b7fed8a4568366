/* A process ends in the middle of a blob: the next one goes on with the part, if it is worth it. */
#include "cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob_cache.h"
#include "blob_world.h"
#include "bounds.h"
#include "file.h"

static char *part_path(struct blob_world *f, struct arena *arena)
{
    return arena_printf(arena, "%s.part", blob_cache_path(f->cache, &f->digest, arena));
}

/* The process ends when so many chunks were read, and another begins with what it left. */
static size_t end_after(struct blob_world *f, struct ending *e, const size_t *reads, size_t count)
{
    struct arena arena = {0};
    struct stat status;
    begin(f, e);
    AWAIT(&f->pair.loop, *reads >= count);
    blob_client_free(f->client);
    assert_false(e->is_over);
    assert_int_equal(stat(part_path(f, &arena), &status), 0);
    arena_release(&arena);
    open_client(f);
    return (size_t)status.st_size / BLOB_CHUNK_BYTES;
}

/* Bytes of the part that was left, changed: a disk that lost power. */
static void spoil_part(struct blob_world *f)
{
    struct arena arena = {0};
    FILE *file = fopen(part_path(f, &arena), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, BLOB_CHUNK_BYTES + 5, SEEK_SET), 0);
    assert_int_equal(fwrite("lost", 1, 4, file), 4);
    assert_int_equal(fclose(file), 0);
    arena_release(&arena);
}

static void test_another_process_goes_on_with_a_part(void **state)
{
    struct blob_world *f = *state;
    struct ending e;
    struct arena arena = {0};
    const size_t kept = end_after(f, &e, &f->coordinator.reads, CHUNKS / 2);
    assert_in_range(kept, 1, CHUNKS - 1);
    begin(f, &e);
    end_well(f, &e);
    took(f, (CHUNKS - kept) * BLOB_CHUNK_BYTES);
    assert_false(file_exists(part_path(f, &arena)));
    arena_release(&arena);
}

/* Nobody answered for too long, or the attempt was given up: whoever asks again goes on. */
static void test_a_cancelled_transfer_is_gone_on_with(void **state)
{
    struct blob_world *f = *state;
    struct ending e;
    begin(f, &e);
    AWAIT(&f->pair.loop, f->coordinator.reads >= CHUNKS / 2);
    blob_client_cancel(f->client, &e);
    begin(f, &e);
    end_well(f, &e);
    took(f, LEN);
}

static void test_a_spoilt_part_is_fetched_anew(void **state)
{
    struct blob_world *f = *state;
    struct ending e;
    const size_t kept = end_after(f, &e, &f->coordinator.reads, CHUNKS / 2);
    spoil_part(f);
    begin(f, &e);
    end_well(f, &e);
    took(f, (2 * CHUNKS - kept) * BLOB_CHUNK_BYTES);
    assert_int_equal(f->coordinator.accused_count, 0);
}

static void test_a_spoilt_part_blames_no_worker(void **state)
{
    struct blob_world *f = *state;
    struct ending e;
    struct scripted_store *peer = add_peer(f);
    end_after(f, &e, &peer->reads, CHUNKS / 2);
    spoil_part(f);
    begin(f, &e);
    end_well(f, &e);
    took(f, LEN);
    for (int i = 0; i < 200; i++)
        uv_run(&f->pair.loop, UV_RUN_NOWAIT);
    assert_int_equal(f->coordinator.accused_count, 0);
}

/* A liar is found also when another sent the beginning, to another process. */
static void test_a_liar_after_a_part_is_found(void **state)
{
    struct blob_world *f = *state;
    struct ending e;
    end_after(f, &e, &f->coordinator.reads, CHUNKS / 2);
    add_peer(f)->lies = true;
    const struct digest key = f->sources[0].server_key;
    begin(f, &e);
    end_well(f, &e);
    AWAIT(&f->pair.loop, f->coordinator.accused_count >= 1);
    assert_true(digest_equal(&f->coordinator.accused[0], &key));
}

/* Another process writes it: ours goes its own way, and disturbs nobody. */
static void test_a_part_of_another_process_is_left_alone(void **state)
{
    struct blob_world *f = *state;
    struct ending e;
    struct arena arena = {0};
    struct stat status;
    const char *path = part_path(f, &arena);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(ftruncate(fd, 3 * BLOB_CHUNK_BYTES), 0);
    begin(f, &e);
    end_well(f, &e);
    took(f, LEN);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 3 * BLOB_CHUNK_BYTES);
    assert_int_equal(close(fd), 0);
    arena_release(&arena);
}

/* Nothing of it stays behind the blob's end, also where less than a chunk goes beyond. */
static void test_a_part_that_is_too_long_is_cut(void **state)
{
    struct blob_world *f = *state;
    struct ending e;
    struct arena arena = {0};
    struct err err;
    static const size_t beyond[] = {5, BLOB_CHUNK_BYTES};
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        uint8_t *bytes = test_calloc(1, LEN + beyond[i]);
        memcpy(bytes, f->bytes, LEN);
        assert_int_equal(
            file_write_atomic(part_path(f, &arena), bytes, LEN + beyond[i], 0600, &err), ERR_OK);
        test_free(bytes);
        begin(f, &e);
        end_well(f, &e);
        assert_int_equal(unlink(blob_cache_path(f->cache, &f->digest, &arena)), 0);
    }
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BLOB_TEST(test_another_process_goes_on_with_a_part),
        BLOB_TEST(test_a_cancelled_transfer_is_gone_on_with),
        BLOB_TEST(test_a_spoilt_part_is_fetched_anew),
        BLOB_TEST(test_a_spoilt_part_blames_no_worker),
        BLOB_TEST(test_a_liar_after_a_part_is_found),
        BLOB_TEST(test_a_part_of_another_process_is_left_alone),
        BLOB_TEST(test_a_part_that_is_too_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
