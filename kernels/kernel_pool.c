#include "kernel_pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels.h"

#define THREADS_MAX 1024
/* A thread looks this often for work (or for the last helper) before it sleeps: about 20 µs, the
 * gap between two operations of a training step. */
#define SPINS 500

/* The pool is the one piece of process-wide state here. Its helpers live as long as the process. */
static struct {
    atomic_int threads; /* wanted, the caller included */

    pthread_mutex_t mutex; /* over everything below; the atomics may be read without it */
    pthread_cond_t loop_opened, helpers_left;
    int helper_count; /* started */
    bool busy;        /* a loop is running: open, or waiting for its helpers */
    bool open;        /* helpers may still join */
    atomic_uint loop_number;
    atomic_int helpers_inside;

    kernel_task_f *task;
    void *ctx;
    int count;
    int helpers_wanted;
    atomic_int next; /* the first task nobody has taken */
} pool = {
    .threads = 1,
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .loop_opened = PTHREAD_COND_INITIALIZER,
    .helpers_left = PTHREAD_COND_INITIALIZER,
};

void kernel_threads_set(int threads)
{
    atomic_store(&pool.threads, threads < 1 ? 1 : threads > THREADS_MAX ? THREADS_MAX : threads);
}

int kernel_threads(void)
{
    return atomic_load(&pool.threads);
}

int kernel_rows_padded(int count)
{
    return (count + KERNEL_ROW_BLOCK - 1) / KERNEL_ROW_BLOCK * KERNEL_ROW_BLOCK;
}

static void spin_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void take_tasks(int thread)
{
    for (int i = atomic_fetch_add(&pool.next, 1); i < pool.count;
         i = atomic_fetch_add(&pool.next, 1))
        pool.task(pool.ctx, i, thread);
}

/* Helpers join a loop and leave it under the mutex, so that the caller can wait for those inside
 * and knows that no other touches the loop. */
static void *helper_main(void *arg)
{
    const int thread = (int)(intptr_t)arg;
    unsigned seen = 0;
    for (;;) {
        for (int i = 0; i < SPINS && atomic_load(&pool.loop_number) == seen; i++)
            spin_pause();
        pthread_mutex_lock(&pool.mutex);
        while (atomic_load(&pool.loop_number) == seen)
            pthread_cond_wait(&pool.loop_opened, &pool.mutex);
        seen = atomic_load(&pool.loop_number);
        const bool joins = pool.open && thread <= pool.helpers_wanted;
        if (joins)
            atomic_fetch_add(&pool.helpers_inside, 1);
        pthread_mutex_unlock(&pool.mutex);
        if (!joins)
            continue;
        take_tasks(thread);
        pthread_mutex_lock(&pool.mutex);
        if (atomic_fetch_sub(&pool.helpers_inside, 1) == 1)
            pthread_cond_signal(&pool.helpers_left);
        pthread_mutex_unlock(&pool.mutex);
    }
    return NULL;
}

/* Start helpers up to `wanted`; when the system has no more threads, fewer do the work. Signals
 * belong to the threads that were there before. */
static void start_helpers(int wanted)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    if (pool.helper_count >= wanted)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_attr_init(&attributes) == 0) {
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        pthread_t thread;
        while (pool.helper_count < wanted &&
               pthread_create(&thread, &attributes, helper_main,
                              (void *)(intptr_t)(pool.helper_count + 1)) == 0)
            pool.helper_count++;
        pthread_attr_destroy(&attributes);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static bool open_loop(kernel_task_f *task, void *ctx, int count)
{
    const int threads = kernel_threads();
    pthread_mutex_lock(&pool.mutex);
    const bool mine = !pool.busy;
    if (mine) {
        pool.busy = pool.open = true;
        pool.task = task;
        pool.ctx = ctx;
        pool.count = count;
        pool.helpers_wanted = (threads < count ? threads : count) - 1;
        atomic_store(&pool.next, 0);
        start_helpers(pool.helpers_wanted);
        atomic_fetch_add(&pool.loop_number, 1);
        pthread_cond_broadcast(&pool.loop_opened);
    }
    pthread_mutex_unlock(&pool.mutex);
    return mine;
}

/* All tasks are taken: wait for the helpers that still run one. */
static void close_loop(void)
{
    pthread_mutex_lock(&pool.mutex);
    pool.open = false;
    pthread_mutex_unlock(&pool.mutex);
    for (int i = 0; i < SPINS && atomic_load(&pool.helpers_inside) > 0; i++)
        spin_pause();
    pthread_mutex_lock(&pool.mutex);
    while (atomic_load(&pool.helpers_inside) > 0)
        pthread_cond_wait(&pool.helpers_left, &pool.mutex);
    pool.busy = false;
    pthread_mutex_unlock(&pool.mutex);
}

void kernel_pool_run(kernel_task_f *task, void *ctx, int count, double cost_ns)
{
    const bool worth_it = kernel_threads() > 1 && count > 1 && cost_ns >= KERNEL_POOL_NS_MIN;
    if (worth_it && open_loop(task, ctx, count)) {
        take_tasks(0);
        close_loop();
        return;
    }
    for (int i = 0; i < count; i++)
        task(ctx, i, 0);
}
