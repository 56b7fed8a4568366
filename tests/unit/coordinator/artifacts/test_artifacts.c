/* Blobs: whole, verified and durable, or not there; whatever writers do. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artifacts.h"
#include "blob_folder.h"
#include "bounds.h"
#include "file.h"
#include "tree.h"

struct fixture {
    char dir[64];
    struct artifacts *artifacts;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err err;
    snprintf(f->dir, sizeof f->dir, "/tmp/triad-test-artifacts-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(artifacts_open(f->dir, &f->artifacts, &err), ERR_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct err err;
    artifacts_free(f->artifacts);
    (void)!file_remove_tree(f->dir, &err);
    free(f);
    return 0;
}

static enum err_code put(struct fixture *f, const struct digest *digest, uint64_t offset,
                         uint64_t total, const char *bytes, size_t len,
                         struct artifacts_progress *out)
{
    struct err err;
    enum err_code code =
        artifacts_write(f->artifacts, digest, offset, total, bytes, len, out, &err);
    if (code == ERR_OK && out->naming != NULL) { /* what a thread does */
        code = artifacts_naming_run(out->naming, &err);
        artifacts_naming_end(f->artifacts, out->naming);
        *out = (struct artifacts_progress){.next = total, .complete = code == ERR_OK};
    }
    return code;
}

static void name_placed(struct fixture *f, const struct artifacts_placed *placed)
{
    struct err err;
    struct artifacts_naming *naming = artifacts_name_placed(f->artifacts, placed);
    assert_int_equal(artifacts_naming_run(naming, &err), ERR_OK);
    artifacts_naming_end(f->artifacts, naming);
}

static struct digest put_whole(struct fixture *f, const char *bytes, size_t len)
{
    struct artifacts_progress p;
    struct digest digest = hash_bytes(bytes, len);
    assert_int_equal(put(f, &digest, 0, len, bytes, len, &p), ERR_OK);
    assert_true(p.complete);
    return digest;
}

static void test_pieces_in_order_become_a_blob(void **state)
{
    struct fixture *f = *state;
    struct artifacts_progress p;
    struct digest d = hash_bytes("hello world", 11);
    assert_int_equal(artifacts_size(f->artifacts, &d), -1);
    assert_int_equal(put(f, &d, 5, 11, " world", 6, &p), ERR_OK); /* not the next: ignored */
    assert_int_equal(p.next, 0);
    assert_int_equal(put(f, &d, 0, 11, "hello", 5, &p), ERR_OK);
    assert_int_equal(p.next, 5);
    assert_int_equal(put(f, &d, 0, 11, "hello", 5, &p), ERR_OK); /* doubled */
    assert_int_equal(p.next, 5);
    assert_false(p.complete);
    assert_int_equal(artifacts_size(f->artifacts, &d), -1); /* nobody sees a part */
    assert_int_equal(put(f, &d, 5, 11, " world", 6, &p), ERR_OK);
    assert_true(p.complete);
    assert_int_equal(artifacts_size(f->artifacts, &d), 11);
    assert_int_equal(put(f, &d, 0, 11, "hello", 5, &p), ERR_OK); /* again: complete at once */
    assert_true(p.complete);
    char bytes[32];
    size_t len = 0;
    uint64_t total = 0;
    struct err err;
    assert_int_equal(artifacts_read(f->artifacts, &d, 6, bytes, 3, &len, &total, &err), ERR_OK);
    assert_int_equal(len, 3);
    assert_int_equal(total, 11);
    assert_memory_equal(bytes, "wor", 3);
    assert_int_equal(artifacts_read(f->artifacts, &d, 12, bytes, 3, &len, &total, &err),
                     ERR_INVALID);
    d.bytes[0] ^= 1;
    assert_int_equal(artifacts_read(f->artifacts, &d, 0, bytes, 3, &len, &total, &err),
                     ERR_NOT_FOUND);
}

static void test_wrong_bytes_are_thrown_away(void **state)
{
    struct fixture *f = *state;
    struct artifacts_progress p;
    struct digest d = hash_bytes("right", 5);
    assert_int_equal(put(f, &d, 0, 5, "wrong", 5, &p), ERR_CORRUPT);
    assert_int_equal(artifacts_size(f->artifacts, &d), -1);
    assert_int_equal(put(f, &d, 0, 5, "right", 5, &p), ERR_OK); /* and can be said again */
    assert_true(p.complete);
}

static void test_a_partial_blob_survives_a_restart(void **state)
{
    struct fixture *f = *state;
    struct artifacts_progress p;
    struct err err;
    struct digest d = hash_bytes("hello world", 11);
    assert_int_equal(put(f, &d, 0, 11, "hello", 5, &p), ERR_OK);
    artifacts_free(f->artifacts);
    assert_int_equal(artifacts_open(f->dir, &f->artifacts, &err), ERR_OK);
    assert_int_equal(put(f, &d, 0, 11, "", 0, &p), ERR_OK); /* where were we? */
    assert_int_equal(p.next, 5);
    assert_int_equal(put(f, &d, 5, 11, " world", 6, &p), ERR_OK);
    assert_true(p.complete);
}

static void test_hostile_sizes(void **state)
{
    struct fixture *f = *state;
    struct artifacts_progress p;
    struct digest d = hash_bytes("x", 1);
    assert_int_equal(put(f, &d, 0, UINT64_MAX, "x", 1, &p), ERR_LIMIT);
    assert_int_equal(put(f, &d, 2, 1, "x", 1, &p), ERR_INVALID);
    assert_int_equal(put(f, &d, UINT64_MAX, 1, "x", 1, &p), ERR_INVALID);
    assert_int_equal(put(f, &d, 0, 1, "xy", 2, &p), ERR_INVALID);
    /* One who claims another size does not block the honest writer. */
    assert_int_equal(put(f, &d, 0, 1000, "abc", 3, &p), ERR_OK);
    assert_int_equal(put(f, &d, 0, 1, "x", 1, &p), ERR_OK);
    assert_true(p.complete);
    struct digest empty = hash_bytes("", 0);
    assert_int_equal(put(f, &empty, 0, 0, "", 0, &p), ERR_OK);
    assert_true(p.complete);
}

/* More partial blobs than descriptors we allow ourselves: all of them arrive. */
static void test_many_partial_blobs_share_few_descriptors(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 3 * ARTIFACTS_OPEN_MAX };
    struct artifacts_progress p;
    char text[COUNT][16];
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < COUNT; i++) {
            snprintf(text[i], sizeof text[i], "blob%04d", i);
            struct digest d = hash_bytes(text[i], 8);
            uint64_t from = half == 0 ? 0 : 4;
            assert_int_equal(put(f, &d, from, 8, text[i] + from, 4, &p), ERR_OK);
            assert_int_equal(p.complete, half == 1);
        }
    }
}

/* Bytes that this process has read so far, by whatever call. */
static long long bytes_read(void)
{
    char line[128];
    long long count = -1;
    FILE *file = fopen("/proc/self/io", "re");
    while (file != NULL && count < 0 && fgets(line, sizeof line, file) != NULL)
        count = strncmp(line, "rchar: ", 7) == 0 ? strtoll(line + 7, NULL, 10) : -1;
    if (file != NULL)
        fclose(file);
    return count;
}

/* A thousand workers bring their checkpoints at once, a piece each in turn: what is here already is
 * not read again at every piece. */
static void test_writers_in_turn_do_not_cost_reading(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 3 * ARTIFACTS_OPEN_MAX, PIECES = 8, PIECE = 4096 };
    struct artifacts_progress p;
    static char bytes[PIECES * PIECE];
    if (bytes_read() < 0)
        skip();
    const long long before = bytes_read();
    for (int piece = 0; piece < PIECES; piece++) {
        for (int i = 0; i < COUNT; i++) {
            memset(bytes, i, sizeof bytes);
            const struct digest d = hash_bytes(bytes, sizeof bytes);
            const uint64_t from = (uint64_t)piece * PIECE;
            assert_int_equal(put(f, &d, from, sizeof bytes, bytes + from, PIECE, &p), ERR_OK);
            assert_int_equal(p.next, from + PIECE);
            assert_int_equal(p.complete, piece == PIECES - 1);
        }
    }
    assert_in_range(bytes_read() - before, 0, COUNT * PIECES * PIECE / 8);
}

/* Who cuts or removes a part behind our back does not make us finish a blob with a hole. */
static void test_a_part_that_changed_is_read_again(void **state)
{
    struct fixture *f = *state;
    struct artifacts_progress p;
    char path[128];
    char hex[DIGEST_HEX_SIZE];
    char other[32];
    struct digest d = hash_bytes("hello world", 11);
    for (int round = 0; round < 2; round++) {
        snprintf(path, sizeof path, "%s/blobs/partial/%s", f->dir, digest_hex(&d, hex));
        assert_int_equal(put(f, &d, 0, 11, "hello", 5, &p), ERR_OK);
        for (int i = 0; i < 2 * ARTIFACTS_OPEN_MAX; i++) { /* its file is closed by now */
            snprintf(other, sizeof other, "%d blob%04d", round, i);
            struct digest o = hash_bytes(other, 10);
            assert_int_equal(put(f, &o, 0, 10, other, 4, &p), ERR_OK);
        }
        assert_int_equal(round == 0 ? truncate(path, 2) : unlink(path), 0);
        assert_int_equal(put(f, &d, 11, 11, "", 0, &p), ERR_OK);
        assert_int_equal(p.next, round == 0 ? 2 : 0);
    }
    assert_int_equal(put(f, &d, 0, 11, "hello world", 11, &p), ERR_OK);
    assert_true(p.complete);
}

static void test_a_tree_is_here_when_its_files_are(void **state)
{
    struct fixture *f = *state;
    struct tree_file files[] = {{.name = "a.txt", .digest = hash_bytes("aa", 2), .size_bytes = 2},
                                {.name = "b.txt", .digest = hash_bytes("b", 1), .size_bytes = 1}};
    struct tree tree = {.files = files, .file_count = 2};
    struct strbuf document = {0};
    tree_encode(&tree, &document);
    struct digest d = hash_bytes(document.data, document.len);
    assert_false(artifacts_has_tree(f->artifacts, &d));
    put_whole(f, document.data, document.len);
    put_whole(f, "aa", 2);
    assert_false(artifacts_has_tree(f->artifacts, &d));
    put_whole(f, "b", 1);
    assert_true(artifacts_has_tree(f->artifacts, &d));
    struct digest plain = put_whole(f, "no tree at all", 14);
    assert_true(artifacts_has_tree(f->artifacts, &plain));
    strbuf_release(&document);
}

/* The limit on a process's file size stands in for a full disk: a write that the system cuts short
 * and then refuses. */
static void test_a_refused_write_leaves_what_was_there(void **state)
{
    struct fixture *f = *state;
    struct artifacts_progress p;
    struct err err;
    struct rlimit former;
    static char bytes[8192];
    struct digest d = hash_bytes(bytes, sizeof bytes);
    assert_int_equal(put(f, &d, 0, sizeof bytes, bytes, 4000, &p), ERR_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &former), 0);
    struct rlimit small = {.rlim_cur = 6000, .rlim_max = former.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum err_code code =
        artifacts_write(f->artifacts, &d, 4000, sizeof bytes, bytes, sizeof bytes - 4000, &p, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &former), 0);
    assert_int_equal(code, ERR_IO);
    assert_int_equal(err.os_errno, EFBIG);
    assert_int_equal(put(f, &d, 0, sizeof bytes, "", 0, &p), ERR_OK);
    assert_int_equal(p.next, 4000);
    assert_int_equal(put(f, &d, 4000, sizeof bytes, bytes, sizeof bytes - 4000, &p), ERR_OK);
    assert_true(p.complete);
}

/* Between the last piece and the end of the thread that waits for the disk. */
static void test_a_blob_is_there_when_its_name_is_durable(void **state)
{
    struct fixture *f = *state;
    struct artifacts_progress first, other;
    struct digest d = hash_bytes("hello", 5);
    struct err err;
    assert_int_equal(artifacts_write(f->artifacts, &d, 0, 5, "hello", 5, &first, &err), ERR_OK);
    assert_non_null(first.naming);
    assert_false(first.complete);
    /* Who brings the same has nothing to bring, and does not touch the file. */
    assert_int_equal(artifacts_write(f->artifacts, &d, 0, 5, "hello", 5, &other, &err), ERR_OK);
    assert_int_equal(other.next, 5);
    assert_null(other.naming);
    assert_false(other.complete);
    assert_int_equal(artifacts_naming_run(first.naming, &err), ERR_OK);
    assert_int_equal(artifacts_size(f->artifacts, &d), -1); /* the loop has not heard of it */
    artifacts_naming_end(f->artifacts, first.naming);
    assert_int_equal(artifacts_size(f->artifacts, &d), 5);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* Put a file into `incoming` as somebody would who sees the folder. */
static void put_incoming(struct fixture *f, const struct artifacts_placed *placed,
                         const char *content)
{
    struct arena arena = {0};
    struct err err;
    const char *path = blob_folder_incoming(artifacts_folder(f->artifacts), &placed->digest,
                                            placed->nonce, &arena);
    assert_int_equal(file_write_atomic(path, content, strlen(content), 0644, &err), ERR_OK);
    arena_release(&arena);
}

static bool is_incoming(struct fixture *f, const struct artifacts_placed *placed)
{
    struct arena arena = {0};
    bool is = file_exists(blob_folder_incoming(artifacts_folder(f->artifacts), &placed->digest,
                                               placed->nonce, &arena));
    arena_release(&arena);
    return is;
}

static void test_a_placed_blob_is_verified_before_it_has_a_name(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct artifacts_placed placed = {.digest = hash_bytes("hello", 5), .size = 5, .nonce = 7};
    assert_int_equal(artifacts_verify_placed(f->artifacts, &placed, &err), ERR_NOT_FOUND);
    put_incoming(f, &placed, "hellO");
    assert_int_equal(artifacts_verify_placed(f->artifacts, &placed, &err), ERR_CORRUPT);
    artifacts_drop_placed(f->artifacts, &placed);
    assert_false(is_incoming(f, &placed));
    put_incoming(f, &placed, "hello");
    placed.size = 6;
    assert_int_equal(artifacts_verify_placed(f->artifacts, &placed, &err), ERR_CORRUPT);
    placed.size = 5;
    placed.stop = true;
    assert_int_equal(artifacts_verify_placed(f->artifacts, &placed, &err), ERR_CANCELLED);
    placed.stop = false;
    placed.verified = 0;
    assert_int_equal(artifacts_verify_placed(f->artifacts, &placed, &err), ERR_OK);
    assert_int_equal(placed.verified, 5);
    assert_int_equal(artifacts_size(f->artifacts, &placed.digest), -1);
    name_placed(f, &placed);
    assert_int_equal(artifacts_size(f->artifacts, &placed.digest), 5);
    assert_false(is_incoming(f, &placed));
}

/* A link out of the folder is not followed, and a pipe does not hold us up. */
static void test_only_files_can_be_placed(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct arena arena = {0};
    struct artifacts_placed placed = {.digest = hash_bytes("hello", 5), .size = 5, .nonce = 8};
    const char *path =
        blob_folder_incoming(artifacts_folder(f->artifacts), &placed.digest, placed.nonce, &arena);
    const char *elsewhere = arena_printf(&arena, "%s/elsewhere", f->dir);
    assert_int_equal(file_write_atomic(elsewhere, "hello", 5, 0644, &err), ERR_OK);
    assert_int_equal(symlink(elsewhere, path), 0);
    assert_int_not_equal(artifacts_verify_placed(f->artifacts, &placed, &err), ERR_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(artifacts_verify_placed(f->artifacts, &placed, &err), ERR_INVALID);
    arena_release(&arena);
}

/* The other side's functions find what ours lay down, and notice what is not whole. */
static void test_who_sees_the_folder_takes_and_places(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct arena arena = {0};
    struct digest token;
    struct stat status;
    const char *folder = artifacts_folder(f->artifacts);
    const char *to = arena_printf(&arena, "%s/taken", f->dir);
    const char *own = arena_printf(&arena, "%s/own", f->dir);
    struct digest digest = put_whole(f, "stored", 6);
    struct digest expected = artifacts_token(f->artifacts);
    assert_int_equal(blob_folder_token(folder, &token, &err), ERR_OK);
    assert_true(digest_equal(&token, &expected) && !digest_is_none(&token));
    assert_int_equal(blob_folder_take(folder, &digest, to, true, &err), ERR_OK);
    assert_true(file_exists(to));
    assert_int_equal(unlink(to), 0);
    const struct digest absent = {{1}};
    assert_int_equal(blob_folder_take(folder, &absent, to, true, &err), ERR_NOT_FOUND);
    /* Rotten on disk: it does not arrive. */
    const char *path = blob_folder_path(folder, &digest, &arena);
    assert_int_equal(file_write_atomic(path, "rotten", 6, 0444, &err), ERR_OK);
    assert_int_equal(blob_folder_take(folder, &digest, to, true, &err), ERR_CORRUPT);
    assert_false(file_exists(to));
    /* And the other way. */
    struct artifacts_placed placed = {.digest = hash_bytes("made", 4), .size = 4, .nonce = 9};
    assert_int_equal(file_write_atomic(own, "made", 4, 0444, &err), ERR_OK);
    assert_int_equal(blob_folder_place(folder, &placed.digest, placed.nonce, own, false, &err),
                     ERR_OK);
    assert_int_equal(artifacts_verify_placed(f->artifacts, &placed, &err), ERR_OK);
    name_placed(f, &placed);
    assert_int_equal(artifacts_size(f->artifacts, &placed.digest), 4);
    /* Not linked: who writes to his own file does not write to the store. */
    assert_int_equal(stat(own, &status), 0);
    assert_int_equal(status.st_nlink, 1);
    arena_release(&arena);
}

static bool nothing_is_needed(void *ctx, const struct digest *digest)
{
    (void)ctx;
    (void)digest;
    return false;
}

/* What was placed and never asked for goes with the next sweep; the token stays. */
static void test_left_over_placed_files_are_swept(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct digest token;
    struct artifacts_placed placed = {.digest = hash_bytes("hello", 5), .size = 5, .nonce = 7};
    struct artifacts_sweep sweep = {.is_needed = nothing_is_needed, .age_s = 0, .apply = true};
    put_incoming(f, &placed, "hello");
    for (unsigned i = 0; i < ARTIFACTS_SWEEP_FOLDERS; i++)
        assert_int_equal(artifacts_sweep(f->artifacts, i, &sweep, &err), ERR_OK);
    assert_int_equal(sweep.garbage, 1);
    assert_false(is_incoming(f, &placed));
    assert_int_equal(blob_folder_token(artifacts_folder(f->artifacts), &token, &err), ERR_OK);
}

/* A worker links a file of its cache, which may be hours old: named, it is as young as any. */
static void test_a_blob_is_young_when_it_gets_its_name(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct arena arena = {0};
    const struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    struct artifacts_placed placed = {.digest = hash_bytes("hello", 5), .size = 5, .nonce = 7};
    struct artifacts_sweep sweep = {.is_needed = nothing_is_needed, .age_s = 3600, .apply = true};
    put_incoming(f, &placed, "hello");
    assert_int_equal(utimensat(AT_FDCWD,
                               blob_folder_incoming(artifacts_folder(f->artifacts), &placed.digest,
                                                    placed.nonce, &arena),
                               old, 0),
                     0);
    assert_int_equal(artifacts_verify_placed(f->artifacts, &placed, &err), ERR_OK);
    name_placed(f, &placed);
    for (unsigned i = 0; i < ARTIFACTS_SWEEP_FOLDERS; i++)
        assert_int_equal(artifacts_sweep(f->artifacts, i, &sweep, &err), ERR_OK);
    assert_int_equal(sweep.garbage, 0);
    assert_int_equal(sweep.young, 1);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pieces_in_order_become_a_blob),
        TEST(test_a_blob_is_there_when_its_name_is_durable),
        TEST(test_wrong_bytes_are_thrown_away),
        TEST(test_a_partial_blob_survives_a_restart),
        TEST(test_hostile_sizes),
        TEST(test_a_placed_blob_is_verified_before_it_has_a_name),
        TEST(test_only_files_can_be_placed),
        TEST(test_who_sees_the_folder_takes_and_places),
        TEST(test_left_over_placed_files_are_swept),
        TEST(test_a_blob_is_young_when_it_gets_its_name),
        TEST(test_many_partial_blobs_share_few_descriptors),
        TEST(test_writers_in_turn_do_not_cost_reading),
        TEST(test_a_part_that_changed_is_read_again),
        TEST(test_a_tree_is_here_when_its_files_are),
        TEST(test_a_refused_write_leaves_what_was_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
