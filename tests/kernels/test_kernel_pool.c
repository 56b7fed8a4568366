/* The thread pool: every task runs once, results are there when the loop returns, loops inside and
 * beside loops work. Under the preset tsan this is where races would show. */
#include "cmocka_all.h"

#include <pthread.h>
#include <string.h>

#include "kernel_pool.h"
#include "kernels.h"

#define TASKS  1000
#define COSTLY 1e9 /* nanoseconds: more than enough to be shared out */

struct counts {
    int runs[TASKS]; /* not atomic on purpose: the pool must order them */
    int thread_max[16];
};

static void count_task(void *ctx, int index, int thread)
{
    struct counts *c = ctx;
    c->runs[index]++;
    c->thread_max[thread]++;
}

static void test_every_task_runs_once(void **state)
{
    static const int threads[] = {1, 2, 8, 3, 1, 2};
    (void)state;
    for (int round = 0; round < 600; round++) {
        struct counts c = {0};
        const int count = round % TASKS + 1;
        const int limit = threads[round % 6];
        kernel_threads_set(limit);
        kernel_pool_run(count_task, &c, count, COSTLY);
        for (int i = 0; i < TASKS; i++)
            assert_int_equal(c.runs[i], i < count);
        for (int t = limit; t < 16; t++)
            assert_int_equal(c.thread_max[t], 0);
    }
}

static void nested_task(void *ctx, int index, int thread)
{
    struct counts *inner = ctx;
    (void)thread;
    kernel_pool_run(count_task, &inner[index], TASKS, COSTLY);
}

static void test_a_loop_inside_a_loop(void **state)
{
    static struct counts inner[4];
    (void)state;
    kernel_threads_set(4);
    kernel_pool_run(nested_task, inner, 4, COSTLY);
    for (int n = 0; n < 4; n++)
        for (int i = 0; i < TASKS; i++)
            assert_int_equal(inner[n].runs[i], 1);
}

static void *caller_main(void *arg)
{
    struct counts *c = arg;
    for (int round = 0; round < 200; round++)
        kernel_pool_run(count_task, c, TASKS, COSTLY);
    return NULL;
}

static void test_loops_of_several_callers(void **state)
{
    static struct counts counts[3];
    pthread_t callers[3];
    (void)state;
    kernel_threads_set(3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&callers[i], NULL, caller_main, &counts[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(callers[i], NULL);
    for (int n = 0; n < 3; n++)
        for (int i = 0; i < TASKS; i++)
            assert_int_equal(counts[n].runs[i], 200);
}

static void test_small_loops_stay_on_the_caller(void **state)
{
    struct counts c = {0};
    (void)state;
    kernel_threads_set(4);
    kernel_pool_run(count_task, &c, TASKS, KERNEL_POOL_NS_MIN / 2);
    assert_int_equal(c.thread_max[0], TASKS);
    kernel_pool_run(count_task, &c, 0, COSTLY);
    assert_int_equal(c.thread_max[0], TASKS);
}

static void test_the_number_of_threads(void **state)
{
    (void)state;
    kernel_threads_set(0);
    assert_int_equal(kernel_threads(), 1);
    kernel_threads_set(-3);
    assert_int_equal(kernel_threads(), 1);
    kernel_threads_set(7);
    assert_int_equal(kernel_threads(), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_runs_once),
        cmocka_unit_test(test_a_loop_inside_a_loop),
        cmocka_unit_test(test_loops_of_several_callers),
        cmocka_unit_test(test_small_loops_stay_on_the_caller),
        cmocka_unit_test(test_the_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
