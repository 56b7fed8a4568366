/* What the simulator found in the core, each told as the shortest story that shows it. */
#include "cmocka_all.h"

#include <string.h>

#include "core_world.h"

#define CLASS "blas/f32/Haswell/1"

static int set_up(void **state)
{
    *state = core_world_new();
    return 0;
}

static int tear_down(void **state)
{
    core_world_free(*state);
    return 0;
}

static uint64_t hello_on(struct core_world *w, const char *name, const char *host, uint64_t peer)
{
    const struct msg m = {.kind = MSG_HELLO,
                          .hello = {.protocol_version = PROTOCOL_VERSION,
                                    .worker = name,
                                    .instance = hash_bytes(name, strlen(name)),
                                    .host = host,
                                    .host_cores = 2,
                                    .threads = 2,
                                    .numeric_class = CLASS,
                                    .version = ""}};
    core_world_say(w, peer, &m);
    return core_world_sent(w, MSG_WELCOME, 0)->welcome.session;
}

/* A restarted coordinator hears of the other worker on a host first: the cores that the silent
 * one's lease uses are taken although it has not said HELLO yet. */
static void test_a_restored_lease_uses_its_hosts_cores(void **state)
{
    struct core_world *w = *state;
    const struct digest instance = hash_bytes("a", 1);
    struct submit_job jobs[2] = {core_world_plan(1), core_world_plan(2)};
    jobs[0].threads = jobs[1].threads = 2;
    struct err err;
    hello_on(w, "a", "shared", 1);
    core_world_submit(w, "e", jobs, 2);
    assert_int_equal(core_world_sent_count(w, MSG_LEASE), 1);
    struct core_job_row held = w->rows[0];
    held.state.worker = "a";
    core_free(w->core);
    w->core = core_new(&(struct core_options){.boot = 2}, 42);
    core_load_order(w->core, 2);
    core_load_experiment(w->core, "e", CLASS, false, 0);
    core_load_worker(w->core, "a", "shared", &instance);
    assert_int_equal(core_load_job(w->core, &held, &err), ERR_OK);
    assert_int_equal(core_load_job(w->core, &w->rows[1], &err), ERR_OK);
    assert_int_equal(core_load_finish(w->core, w->now_ms, &err), ERR_OK);
    hello_on(w, "b", "shared", 2);
    assert_int_equal(core_world_sent_count(w, MSG_LEASE), 0);
    assert_string_equal(core_wait_reason(w->core, &jobs[1].identity, w->now_ms), "Resources");
    hello_on(w, "c", "elsewhere", 3); /* other cores are free */
    assert_int_equal(core_world_sent_count(w, MSG_LEASE), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_restored_lease_uses_its_hosts_cores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
