/* A commit on a thread: it waits for the disk, and its caller need not. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"
#include "store_query.h"

struct store_committer {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    int fd; /* an eventfd, readable when the commit has ended */
    /* Under the mutex; and with it, from begin to end, the store is the thread's. */
    bool is_wanted, is_ending;
    enum err_code code;
    struct err err;
};

static void *commit(void *ctx)
{
    struct store *store = ctx;
    struct store_committer *c = store->committer;
    pthread_mutex_lock(&c->mutex);
    while (!c->is_ending) {
        if (!c->is_wanted) {
            pthread_cond_wait(&c->wake, &c->mutex);
            continue;
        }
        c->is_wanted = false;
        c->code = store_commit(store, &c->err);
        const uint64_t one = 1;
        ssize_t written = write(c->fd, &one, sizeof one);
        ASSERT(written == sizeof one);
    }
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

static void start(struct store *store)
{
    struct store_committer *c = calloc(1, sizeof *c);
    ASSERT(c != NULL);
    c->fd = eventfd(0, EFD_CLOEXEC);
    ASSERT(c->fd >= 0);
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->wake, NULL);
    store->committer = c;
    int failed = pthread_create(&c->thread, NULL, commit, store);
    ASSERT(failed == 0);
}

void store_committer_free(struct store *store)
{
    struct store_committer *c = store->committer;
    if (c == NULL) {
        return;
    }
    pthread_mutex_lock(&c->mutex);
    c->is_ending = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->mutex);
    pthread_join(c->thread, NULL);
    pthread_mutex_destroy(&c->mutex);
    pthread_cond_destroy(&c->wake);
    close(c->fd);
    free(c);
    store->committer = NULL;
}

bool store_commit_begin(struct store *store)
{
    if (!store->in_transaction) {
        return false;
    }
    if (store->committer == NULL) {
        start(store);
    }
    struct store_committer *c = store->committer;
    pthread_mutex_lock(&c->mutex);
    c->is_wanted = true;
    pthread_mutex_unlock(&c->mutex);
    pthread_cond_signal(&c->wake);
    return true;
}

int store_commit_fd(const struct store *store)
{
    return store->committer->fd;
}

enum err_code store_commit_end(struct store *store, struct err *err)
{
    struct store_committer *c = store->committer;
    uint64_t count = 0;
    while (read(c->fd, &count, sizeof count) < 0) {
        ASSERT(errno == EINTR);
    }
    pthread_mutex_lock(&c->mutex);
    const enum err_code code = c->code;
    if (code != ERR_OK) {
        *err = c->err;
    }
    pthread_mutex_unlock(&c->mutex);
    return code;
}
