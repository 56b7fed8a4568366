#include "host.h"

#include <string.h>

#include "check.h"
#include "core_memory.h"

struct host *host_known(struct core *core, const char *name)
{
    struct digest key = digest_of_text(name);
    struct host *host = digest_map_get(&core->hosts, &key);
    if (host == NULL) {
        host = core_memory_array(1, sizeof *host);
        host->name = core_memory_text(name);
        digest_map_put(&core->hosts, &key, host);
    }
    return host;
}

static void host_free(struct core *core, struct host *host)
{
    struct digest key = digest_of_text(host->name);
    digest_map_remove(&core->hosts, &key);
    core_memory_free(host->name);
    core_memory_free(host->quarantine);
    core_memory_free(host);
}

void host_leave(struct core *core, struct worker *worker)
{
    struct host *host = worker->host;
    ASSERT(host->threads_busy >= worker->threads_busy);
    host->threads_busy -= worker->threads_busy;
    worker->host = NULL;
    if (--host->worker_count == 0 && host->quarantine == NULL) {
        host_free(core, host);
    }
}

void host_join(struct core *core, struct worker *worker, const char *name)
{
    struct host *host = host_known(core, name);
    host->worker_count++;
    host->threads_busy += worker->threads_busy;
    worker->host = host;
}

/* ---- quarantine ---- */

static void write_op(struct core *core, const struct host *host)
{
    struct core_op *op = output_op(core, CORE_OP_HOST);
    op->host = (struct core_op_host){
        .name = output_text(core, host->name),
        .quarantined = host->quarantine != NULL,
        .reason = output_text(core, host->quarantine != NULL ? host->quarantine : "")};
}

/* Somebody else could do the same work: without that, a quarantine would only stop everything. */
static bool others_can(const struct core *core, const struct worker *worker)
{
    for (size_t i = 0; i < core->worker_count; i++) {
        const struct worker *other = core->workers[i];
        if (other->host != worker->host && other->live && other->host->quarantine == NULL &&
            strcmp(other->numeric_class, worker->numeric_class) == 0) {
            return true;
        }
    }
    return false;
}

void host_failed(struct core *core, const struct worker *worker, const struct job *job)
{
    struct host *host = worker->host;
    if (host->quarantine != NULL) {
        return;
    }
    for (uint32_t i = 0; i < host->failed_count; i++) {
        if (host->failed_jobs[i] == job->order) {
            return;
        }
    }
    const uint32_t limit = core->options.host_failures_max;
    if (host->failed_count < limit) {
        host->failed_jobs[host->failed_count++] = job->order;
    }
    if (host->failed_count < limit || !others_can(core, worker)) {
        return;
    }
    host->quarantine = core_memory_text(output_printf(
        core,
        "%u different jobs failed in a row on node %s: look at it, then 'triad worker "
        "release %s'",
        host->failed_count, *worker->node ? worker->node : host->name, worker->name));
    write_op(core, host);
}

void host_succeeded(struct worker *worker)
{
    worker->host->failed_count = 0;
}

bool host_release(struct core *core, struct host *host)
{
    host->failed_count = 0;
    if (host->quarantine == NULL) {
        return false;
    }
    core_memory_free(host->quarantine);
    host->quarantine = NULL;
    core->dispatch_wanted = true;
    write_op(core, host);
    return true;
}
