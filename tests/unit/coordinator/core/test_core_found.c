/* What the simulator found in the core, each told as the shortest story that shows it. */
#include "cmocka_all.h"

#include <string.h>

#include "core_world.h"

/* A restarted coordinator hears of the other worker on a host first: the cores that the silent
 * one's lease uses are taken although it has not said HELLO yet. */
static void test_a_restored_lease_uses_its_hosts_cores(void **state)
{
    struct core_world *w = *state;
    const struct digest instance = hash_bytes("a", 1);
    struct submit_job jobs[2] = {core_world_plan(1), core_world_plan(2)};
    jobs[0].threads = jobs[1].threads = 2;
    struct err err;
    struct msg hello = core_world_hello_msg("a", "shared", 2);
    core_world_hello_as(w, 1, &hello);
    core_world_submit(w, "e", jobs, 2);
    assert_int_equal(core_world_sent_count(w, MSG_LEASE), 1);
    struct core_job_row held = w->rows[0];
    held.state.worker = "a";
    core_free(w->core);
    w->core = core_new(&(struct core_options){.boot = 2}, 42);
    core_load_order(w->core, 2);
    core_load_experiment(w->core, "e", WORLD_CLASS, false, 0);
    core_load_worker(w->core, "a", "shared", &instance);
    assert_int_equal(core_load_job(w->core, &held, &err), ERR_OK);
    assert_int_equal(core_load_job(w->core, &w->rows[1], &err), ERR_OK);
    assert_int_equal(core_load_finish(w->core, w->now_ms, &err), ERR_OK);
    hello = core_world_hello_msg("b", "shared", 2);
    core_world_hello_as(w, 2, &hello);
    assert_int_equal(core_world_sent_count(w, MSG_LEASE), 0);
    assert_string_equal(core_wait_reason(w->core, &jobs[1].identity, w->now_ms), "Resources");
    hello = core_world_hello_msg("c", "elsewhere", 2);
    core_world_hello_as(w, 3, &hello); /* other cores are free */
    assert_int_equal(core_world_sent_count(w, MSG_LEASE), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_a_restored_lease_uses_its_hosts_cores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
