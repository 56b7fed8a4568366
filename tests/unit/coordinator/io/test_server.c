/* The life of a server in this process: however its turns fall, being told to stop ends it. */
#include "cmocka_all.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "await.h"
#include "client_request.h"
#include "clock.h"
#include "file.h"
#include "janitor.h"
#include "net_keys.h"
#include "server_state.h"

struct world {
    char dir[64], keys[96];
    uv_loop_t loop;
    uv_timer_t ticker;
    struct server *server;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct err err;
    assert_non_null(w);
    snprintf(w->dir, sizeof w->dir, "/tmp/triad-test-server-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->keys, sizeof w->keys, "%s/keys", w->dir);
    assert_int_equal(file_mkdirs(w->keys, 0700, &err), ERR_OK);
    assert_int_equal(net_server_keys_init(w->keys, &err), ERR_OK);
    uv_loop_init(&w->loop);
    await_tick(&w->loop, &w->ticker);
    const struct server_options options = {.state_dir = w->dir,
                                           .listen = "127.0.0.1",
                                           .keys_dir = w->keys,
                                           .version = "test",
                                           .core.lease_ms = 1};
    assert_int_equal(server_new(&w->loop, &options, &w->server, &err), ERR_OK);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    struct err err;
    (void)!file_remove_tree(w->dir, &err);
    free(w);
    return 0;
}

/* The server has been told to stop: the loop must run out of handles. */
static enum err_code run_to_the_end(struct world *w, struct err *err)
{
    AWAIT(&w->loop, !uv_loop_alive(&w->loop));
    uv_close((uv_handle_t *)&w->ticker, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    enum err_code code = server_free(w->server, err);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    return code;
}

/* As when a client stops the coordinator while a copy or a sweep has its slices between turns. */
static void test_a_turn_that_ends_early_does_not_undo_a_stop(void **state)
{
    struct world *w = *state;
    struct err err;
    turn_begin(w->server);
    server_stop(w->server);
    turn_finish(w->server);
    assert_int_equal(run_to_the_end(w, &err), ERR_OK);
}

/* Damage that a commit finds ends the process; its turn ends afterwards. */
static void test_damage_at_the_end_of_a_turn_ends_the_server(void **state)
{
    struct world *w = *state;
    struct err damage, err;
    (void)!err_set(&damage, ERR_CORRUPT, "the database is damaged");
    turn_begin(w->server);
    turn_trouble(w->server, &damage);
    turn_finish(w->server);
    assert_int_equal(run_to_the_end(w, &err), ERR_CORRUPT);
}

/* Such a disk fails nothing: it only says nothing, for as long as it likes. */
static void test_a_disk_that_hangs_is_told(void **state)
{
    struct world *w = *state;
    struct err err;
    struct arena arena = {0};
    struct msg reply = {0};
    const struct msg question = {.kind = MSG_GET_STATUS, .get_status = {.experiment = ""}};
    const struct request r = {
        .server = w->server, .msg = &question, .arena = &arena, .reply = &reply};
    assert_int_equal(client_questions[MSG_GET_STATUS](&r, &err), ERR_OK);
    assert_string_equal(reply.status.trouble, "");
    w->server->commit_ms = clock_mono_ms() - 60000;
    assert_int_equal(client_questions[MSG_GET_STATUS](&r, &err), ERR_OK);
    assert_non_null(strstr(reply.status.trouble, "has been at a commit for 60 s"));
    w->server->commit_ms = 0;
    arena_release(&arena);
    server_stop(w->server);
    assert_int_equal(run_to_the_end(w, &err), ERR_OK);
}

static void submit_one(struct server *server)
{
    struct submit_job job = {.identity = hash_bytes("job", 3),
                             .kind = JOB_EVALUATE,
                             .label = "job",
                             .family = "",
                             .variant = "",
                             .task = "",
                             .threads = 1,
                             .labels = ""};
    struct core_event event = {.kind = CORE_SUBMIT,
                               .peer = (uint64_t)SOCKET_CLIENT << 56 | 1,
                               .submit = {.experiment = "e", .jobs = &job, .job_count = 1}};
    turn_step(server, &event);
}

static void say_hello(struct server *server)
{
    struct msg hello = {.kind = MSG_HELLO,
                        .hello = {.protocol_version = PROTOCOL_VERSION,
                                  .worker = "w",
                                  .host = "h",
                                  .host_cores = 1,
                                  .threads = 1,
                                  .numeric_class = "c",
                                  .version = "",
                                  .node = "",
                                  .labels = ""}};
    struct core_event event = {.kind = CORE_MESSAGE,
                               .peer = (uint64_t)SOCKET_WORKER << 56 | 1,
                               .message = {.msg = &hello}};
    turn_step(server, &event);
}

/* What a slice of a copy ends may begin another turn: its worker is gone, a lease runs out. */
static void test_a_copy_waits_for_the_turn_after_a_turn(void **state)
{
    struct world *w = *state;
    struct err err;
    struct msg_backup_state copy;
    char folder[96];
    snprintf(folder, sizeof folder, "%s/copy", w->dir);
    uv_timer_stop(&w->server->tick);
    turn_begin(w->server);
    assert_int_equal(janitor_backup(w->server, &(struct msg_backup){.folder = folder}, &copy, &err),
                     ERR_OK);
    submit_one(w->server);
    say_hello(w->server);
    assert_int_equal(core_counts(w->server->core).leases, 1);
    usleep(20000); /* the lease is over, a slice due */
    AWAIT(&w->loop, janitor_backup(w->server, &(struct msg_backup){.folder = folder}, &copy,
                                   &err) != ERR_OK ||
                        copy.complete);
    assert_true(copy.complete);
    assert_int_equal(core_counts(w->server->core).leases, 0);
    server_stop(w->server);
    assert_int_equal(run_to_the_end(w, &err), ERR_OK);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_turn_that_ends_early_does_not_undo_a_stop, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_copy_waits_for_the_turn_after_a_turn, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_damage_at_the_end_of_a_turn_ends_the_server, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_disk_that_hangs_is_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
