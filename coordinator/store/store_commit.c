/* A commit on a thread: it waits for the disk, and its caller need not. */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.h"
#include "store_query.h"
#include "store_thread.h"

struct store_committer {
    struct store_thread thread;
    int fd; /* an eventfd, readable when the commit has ended */
    /* Under the thread's mutex; and with it, from begin to end, the store is the thread's. */
    enum err_code code;
    struct err err;
};

static void commit(void *ctx)
{
    struct store *store = ctx;
    struct store_committer *c = store->committer;
    c->code = store_commit(store, &c->err);
    const uint64_t one = 1;
    ssize_t written = write(c->fd, &one, sizeof one);
    ASSERT(written == sizeof one);
}

static void start(struct store *store)
{
    struct store_committer *c = calloc(1, sizeof *c);
    ASSERT(c != NULL);
    c->fd = eventfd(0, EFD_CLOEXEC);
    ASSERT(c->fd >= 0);
    store->committer = c;
    store_thread_begin(&c->thread, commit, store);
}

void store_committer_free(struct store *store)
{
    struct store_committer *c = store->committer;
    if (c == NULL) {
        return;
    }
    store_thread_end(&c->thread);
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
    pthread_mutex_lock(&c->thread.mutex);
    store_thread_want(&c->thread);
    pthread_mutex_unlock(&c->thread.mutex);
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
    pthread_mutex_lock(&c->thread.mutex);
    const enum err_code code = c->code;
    if (code != ERR_OK) {
        *err = c->err;
    }
    pthread_mutex_unlock(&c->thread.mutex);
    return code;
}
