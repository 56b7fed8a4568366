/* Results on their way to the disk. That takes several syncs, and on a busy disk each of them
 * seconds: on the loop, no heartbeat would leave meanwhile. So a thread does it, for one result
 * after the other: they keep their order, and hashing and linking find a thread, too. The agent
 * need not wait: as long as this process lives a result can be delivered, and most are before they
 * are written. */
#include <stdlib.h>

#include "check.h"
#include "driver_internal.h"
#include "log.h"

struct driver_end {
    uv_work_t request;
    struct driver_end *next;
    struct driver *driver;
    struct lease_key lease;
    struct spool_end *spool_end;
    enum err_code code;
    struct err err;
};

static void on_thread(uv_work_t *request)
{
    struct driver_end *e = request->data;
    e->code = spool_end_write(e->spool_end, &e->err);
}

static void tell_not_durable(const struct err *err)
{
    log_event(LOG_ERROR, "result_not_durable", "text=\"%s\"", err->text);
}

static void end_free(struct driver_end *e)
{
    if (spool_end_free(e->driver->spool, e->spool_end) && e->code)
        tell_not_durable(&e->err);
    free(e);
}

static void begin_first(struct driver *d);

static void on_done(uv_work_t *request, int status)
{
    struct driver_end *e = request->data;
    struct driver *d = e->driver;
    ASSERT(status == 0 && d->ends == e);
    d->ends = e->next;
    if (!d->ends)
        d->ends_end = &d->ends;
    end_free(e);
    begin_first(d);
}

static void begin_first(struct driver *d)
{
    if (!d->ends)
        return;
    int status = uv_queue_work(&d->loop, &d->ends->request, on_thread, on_done);
    ASSERT(status == 0);
}

void driver_end_write(struct driver *d, const struct lease_key *lease,
                      const struct msg_result *result)
{
    struct spool_end *spool_end;
    struct err err;
    if (spool_end_new(d->spool, lease, result, &spool_end, &err)) {
        tell_not_durable(&err);
        return;
    }
    struct driver_end *e = calloc(1, sizeof *e);
    ASSERT(e);
    e->request.data = e;
    e->driver = d;
    e->lease = *lease;
    e->spool_end = spool_end;
    const bool is_first = !d->ends;
    *d->ends_end = e;
    d->ends_end = &e->next;
    if (is_first)
        begin_first(d);
}

void driver_end_forget(struct driver *d, const struct lease_key *lease)
{
    if (!d->ends)
        return;
    struct driver_end **at = &d->ends->next; /* the first one is a thread's */
    while (*at) {
        struct driver_end *e = *at;
        if (e->lease.epoch == lease->epoch && digest_equal(&e->lease.job, &lease->job)) {
            *at = e->next;
            end_free(e);
        } else {
            at = &e->next;
        }
    }
    d->ends_end = at;
}
