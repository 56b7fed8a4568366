#include "store_thread.h"

#include "check.h"

static void *run(void *ctx)
{
    struct store_thread *t = ctx;
    pthread_mutex_lock(&t->mutex);
    while (!t->is_ending) {
        if (!t->is_wanted) {
            pthread_cond_wait(&t->wake, &t->mutex);
            continue;
        }
        t->is_wanted = false;
        t->work(t->ctx);
    }
    pthread_mutex_unlock(&t->mutex);
    return NULL;
}

void store_thread_begin(struct store_thread *t, void (*work)(void *ctx), void *ctx)
{
    *t = (struct store_thread){.work = work, .ctx = ctx};
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->wake, NULL);
    const int failed = pthread_create(&t->thread, NULL, run, t);
    ASSERT(failed == 0);
}

void store_thread_want(struct store_thread *t)
{
    t->is_wanted = true;
    pthread_cond_signal(&t->wake);
}

void store_thread_end(struct store_thread *t)
{
    pthread_mutex_lock(&t->mutex);
    t->is_ending = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->mutex);
    pthread_join(t->thread, NULL);
    pthread_mutex_destroy(&t->mutex);
    pthread_cond_destroy(&t->wake);
}
