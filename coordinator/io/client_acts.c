/* Requests of clients that change something, or take longer than a turn. */
#include <string.h>

#include "client_request.h"
#include "intake.h"
#include "janitor.h"

/* Of an experiment, a turn takes so many: some 20 ms, in which nobody else is answered. */
#define JOBS_PER_PART 1000

/* The jobs that an act on one job or on a whole experiment means. */
static enum err_code jobs_meant(const struct request *r, struct core_act *act, struct err *err)
{
    struct server *server = r->server;
    const struct msg_act *m = &r->msg->act;
    struct digest *jobs = arena_memdup(&server->answers, &m->job, sizeof m->job);
    size_t count = 1;
    enum err_code code = ERR_OK;
    if (digest_is_none(&m->job)) {
        act->experiment = m->experiment;
        code = store_jobs_to_cancel(server->store, m->experiment, &act->span, &server->answers,
                                    &jobs, &count, err);
    } else if (!core_has_job(server->core, &m->job)) {
        struct core_job_row row;
        code = store_job_row(server->store, &m->job, &server->answers, &row, err);
        count = 0; /* it has ended: nothing changes it */
    }
    act->jobs = jobs;
    act->job_count = count;
    return code;
}

static enum err_code rows_meant(const struct request *r, struct core_act *act, struct err *err)
{
    struct core_job_row *rows = NULL;
    enum err_code code = store_jobs_to_retry(r->server->store, &r->msg->act, &act->span,
                                             &r->server->answers, &rows, &act->row_count, err);
    act->rows = rows;
    return code;
}

/* Only the experiment's own settings change. */
static enum err_code experiment_meant(const struct request *r, struct core_act *act,
                                      struct err *err)
{
    act->experiment = r->msg->act.experiment;
    return *act->experiment != '\0' ? ERR_OK : err_set(err, ERR_INVALID, "act: name an experiment");
}

/* A job, or the experiment itself, of which the jobs keep their own. */
static enum err_code priority_meant(const struct request *r, struct core_act *act, struct err *err)
{
    return digest_is_none(&r->msg->act.job) ? experiment_meant(r, act, err)
                                            : jobs_meant(r, act, err);
}

enum err_code client_act(const struct request *r, struct err *err)
{
    static const struct {
        enum core_event_kind event;
        enum err_code (*meant)(const struct request *r, struct core_act *act, struct err *err);
    } kinds[JOB_ACTION_COUNT] = {
        [ACTION_CANCEL] = {CORE_CANCEL, jobs_meant},
        [ACTION_RETRY] = {CORE_RETRY, rows_meant},
        [ACTION_RELEASE] = {CORE_RETRY, rows_meant},
        [ACTION_PAUSE] = {CORE_PAUSE, experiment_meant},
        [ACTION_RESUME] = {CORE_RESUME, experiment_meant},
        [ACTION_PRIORITY] = {CORE_PRIORITY, priority_meant},
    };
    const struct msg_act *m = &r->msg->act;
    struct core_event event = {
        .kind = kinds[m->action].event,
        .peer = r->peer,
        .act = {
            .request = m->request, .reason = m->reason, .experiment = "", .priority = m->priority}};
    if (digest_is_none(&m->job) && *m->experiment == '\0') {
        return err_set(err, ERR_INVALID, "act: name a job or an experiment");
    }
    enum err_code code = ERR_OK;
    if (m->in_parts && digest_is_none(&m->job) &&
        (m->action == ACTION_CANCEL || m->action == ACTION_RETRY)) {
        code = store_span(r->server->store, m->experiment, m->after, JOBS_PER_PART, &event.act.span,
                          err);
    }
    code = code != ERR_OK ? code : kinds[m->action].meant(r, &event.act, err);
    if (code == ERR_OK) {
        turn_step(r->server, &event);
    }
    if (code == ERR_OK && m->action == ACTION_CANCEL && digest_is_none(&m->job) && m->after == 0 &&
        !r->server->in_trouble) {
        intake_abandon(r->server, m->experiment);
    }
    return code;
}

enum err_code client_drain_worker(const struct request *r, struct err *err)
{
    (void)err;
    const struct msg_drain_worker *m = &r->msg->drain_worker;
    struct core_event event = {.kind = CORE_DRAIN_WORKER,
                               .peer = r->peer,
                               .drain = {.request = m->request,
                                         .worker = m->worker,
                                         .action = m->action,
                                         .reason = m->reason,
                                         .grace_ms = m->grace_ms}};
    turn_step(r->server, &event);
    return ERR_OK;
}

enum err_code client_backup(const struct request *r, struct err *err)
{
    struct msg_backup_state state = {0};
    enum err_code code = janitor_backup(r->server, &r->msg->backup, &state, err);
    if (code == ERR_OK) {
        turn_reply(r->server, r->peer, MSG_BACKUP_STATE)->backup_state = state;
    }
    return code;
}

enum err_code client_gc(const struct request *r, struct err *err)
{
    struct msg_gc_state state = {0};
    enum err_code code = janitor_gc(r->server, &r->msg->gc, &state, err);
    if (code == ERR_OK) {
        turn_reply(r->server, r->peer, MSG_GC_STATE)->gc_state = state;
    }
    return code;
}
