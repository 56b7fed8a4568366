/* A thread of the store that does one thing each time it is asked to. */
#ifndef TRIAD_STORE_THREAD_H
#define TRIAD_STORE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

struct store_thread {
    pthread_t thread;
    pthread_mutex_t mutex; /* also of what the thread and its caller share */
    pthread_cond_t wake;
    void (*work)(void *ctx); /* called under the mutex */
    void *ctx;
    bool is_wanted, is_ending;
};

void store_thread_begin(struct store_thread *t, void (*work)(void *ctx), void *ctx);
/* Call work() once more; the mutex is the caller's. */
void store_thread_want(struct store_thread *t);
/* What is under way is finished, what is only wanted is not. */
void store_thread_end(struct store_thread *t);

#endif
