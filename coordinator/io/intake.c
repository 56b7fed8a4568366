#include "intake.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "digest_map.h"
#include "file.h"
#include "log.h"
#include "server_state.h"

#define DOCUMENT "intake"
/* Of a turn, for parts: with its other frames and its commit it stays far below 20 ms. */
#define STEP_NS 4000000
/* What so many jobs took for a while is given back. */
#define LARGE_PLAN_JOBS 10000

/* ---- checks ---- */

/* A job's identity is the digest of its spec: results are reused and shared under it. */
static enum err_code check_identity(const struct submit_job *job, struct err *err)
{
    const struct digest found = hash_bytes(job->spec.data, job->spec.len);
    if (digest_equal(&found, &job->identity)) {
        return ERR_OK;
    }
    char hex[DIGEST_HEX_SIZE];
    return err_set(err, ERR_INVALID,
                   "submit: the identity %.12s of job '%s' is not the digest of its spec",
                   digest_hex(&job->identity, hex), job->label);
}

/* The inputs of a job are in the store before it takes effect. Those of a job's neighbours are
 * often the same: `latest` is the one that was found last. */
static enum err_code check_inputs(struct server *server, const struct submit_job *job,
                                  struct digest *latest, struct err *err)
{
    for (size_t k = 0; k < job->input_count; k++) {
        const struct digest *input = &job->inputs[k].digest;
        if (digest_equal(input, latest)) {
            continue;
        }
        if (!artifacts_has_tree(server->artifacts, input)) {
            char hex[DIGEST_HEX_SIZE];
            return err_set(err, ERR_NOT_FOUND,
                           "submit: input '%s' (%.12s) of job '%s' is not in the store",
                           job->inputs[k].name, digest_hex(input, hex), job->label);
        }
        *latest = *input;
    }
    return ERR_OK;
}

static enum err_code check_jobs(struct server *server, const struct msg_submit *part,
                                struct err *err)
{
    enum err_code code = ERR_OK;
    struct digest latest = {{0}};
    for (size_t i = 0; i < part->job_count && code == ERR_OK; i++) {
        code = check_identity(&part->jobs[i], err);
        if (code == ERR_OK && !part->dry_run) {
            code = check_inputs(server, &part->jobs[i], &latest, err);
        }
    }
    return code;
}

/* ---- what is stored of jobs that have ended ---- */

struct finals {
    struct digest_map seen;
    struct core_job_row *rows;
    size_t count, capacity;
};

static enum err_code add_final(struct server *server, struct finals *finals,
                               const struct digest *job, struct err *err)
{
    if (core_has_job(server->core, job) || digest_map_get(&finals->seen, job) != NULL) {
        return ERR_OK;
    }
    digest_map_put(&finals->seen, job, finals);
    if (finals->count == finals->capacity) {
        finals->capacity = finals->capacity == 0 ? 64 : 2 * finals->capacity;
        struct core_job_row *bigger =
            arena_array(&server->answers, finals->capacity, sizeof *bigger);
        if (finals->count > 0) {
            memcpy(bigger, finals->rows, finals->count * sizeof *bigger);
        }
        finals->rows = bigger;
    }
    enum err_code code =
        store_job_row(server->store, job, &server->answers, &finals->rows[finals->count], err);
    finals->count += code == ERR_OK;
    return code == ERR_NOT_FOUND ? ERR_OK : code;
}

/* Stored ends of the part's jobs and of parents outside it. */
static enum err_code collect_finals(struct server *server, const struct msg_submit *part,
                                    struct finals *finals, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < part->job_count && code == ERR_OK; i++) {
        const struct submit_job *job = &part->jobs[i];
        code = add_final(server, finals, &job->identity, err);
        client_look(server); /* a job's row may be anywhere on the disk */
        for (size_t k = 0; k < job->parent_count && code == ERR_OK; k++) {
            code = add_final(server, finals, &job->parents[k].digest, err);
        }
    }
    return code;
}

static enum err_code step_submit(struct server *server, struct core_event *event,
                                 const struct msg_submit *part, struct err *err)
{
    struct finals finals = {0};
    enum err_code code = collect_finals(server, part, &finals, err);
    if (code == ERR_OK) {
        event->submit.jobs = part->jobs;
        event->submit.job_count = part->job_count;
        event->submit.finals = finals.rows;
        event->submit.final_count = finals.count;
        event->submit.dry_run = part->dry_run;
        turn_step(server, event);
    }
    digest_map_release(&finals.seen);
    return code;
}

/* A plan of one part is taken at once. */
static enum err_code submit_whole(const struct request *r, struct err *err)
{
    const struct msg_submit *part = &r->msg->submit;
    struct core_event event = {.kind = CORE_SUBMIT,
                               .peer = r->peer,
                               .submit = {.request = part->request,
                                          .experiment = part->experiment,
                                          .manifest = part->manifest,
                                          .plan_json = part->plan_json}};
    enum err_code code = check_jobs(r->server, part, err);
    code = code != ERR_OK ? code : step_submit(r->server, &event, part, err);
    if (code == ERR_OK) {
        log_event(LOG_INFO, "submit", "experiment='%s' jobs=%zu dry_run=%d", part->experiment,
                  part->job_count, part->dry_run);
    }
    return code;
}

/* ---- parts that arrive ---- */

/* Parents come before their children, as those are taken into the state in this order. */
static enum err_code check_parents(struct server *server, const struct staged_plan *plan,
                                   const struct submit_job *job, struct err *err)
{
    for (size_t i = 0; i < job->parent_count; i++) {
        const struct digest *parent = &job->parents[i].digest;
        struct core_job_row row;
        if (digest_map_get(&plan->planned, parent) != NULL || core_has_job(server->core, parent)) {
            continue;
        }
        enum err_code code = store_job_row(server->store, parent, &server->answers, &row, err);
        if (code == ERR_NOT_FOUND) {
            char hex[DIGEST_HEX_SIZE];
            return err_set(err, ERR_INVALID,
                           "job '%s': its parent '%s' (%.12s) is neither before it in this plan "
                           "nor known",
                           job->label, job->parents[i].name, digest_hex(parent, hex));
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code check_plan(struct server *server, struct staged_plan *plan,
                                const struct msg_submit *part, struct err *err)
{
    for (size_t i = 0; i < part->job_count; i++) {
        const struct submit_job *job = &part->jobs[i];
        if (digest_map_get(&plan->planned, &job->identity) != NULL) {
            return err_set(err, ERR_INVALID, "job '%s' is in the plan twice", job->label);
        }
        if (job->parent_count > JOB_PARENTS_MAX) {
            return err_set(err, ERR_INVALID, "job '%s' has too many parents", job->label);
        }
        enum err_code code = check_parents(server, plan, job, err);
        if (code != ERR_OK) {
            return code;
        }
        digest_map_put(&plan->planned, &job->identity, plan);
    }
    return ERR_OK;
}

/* What a plan would do, part by part. */
static enum err_code rehearse(struct server *server, struct staged_plan *plan,
                              const struct msg_submit *part, struct err *err)
{
    struct core_event event = {
        .kind = CORE_SUBMIT,
        .peer = 1, /* nobody is told */
        .submit = {.experiment = part->experiment, .is_part = true, .before = &plan->counts}};
    enum err_code code = step_submit(server, &event, part, err);
    if (code == ERR_OK) {
        plan->counts = server->out.submitted;
    }
    return code;
}

/* How far the plan is; its submitter asks until it has ended. */
static enum err_code tell(const struct request *r, struct staged_plan *plan, struct err *err)
{
    const uint64_t request = r->msg->submit.request;
    if (plan->state != STAGED_ENDED) {
        struct msg *reply = turn_reply(r->server, r->peer, MSG_OK);
        reply->ok = (struct msg_ok){.request = request, .count = plan->next_part};
        return ERR_OK;
    }
    if (plan->refused.code != ERR_OK) {
        *err = plan->refused;
        return err->code;
    }
    struct msg *reply = turn_reply(r->server, r->peer, MSG_SUBMITTED);
    reply->submitted = plan->counts;
    reply->submitted.request = request;
    return ERR_OK;
}

/* ---- making a whole plan durable ---- */

struct sync {
    uv_work_t work;
    struct server *server;
    uint64_t number;
    char folder[PATH_BYTES_MAX];
    int fd;
    struct err err;
};

static void sync_file(uv_work_t *work)
{
    struct sync *sync = work->data;
    if (fdatasync(sync->fd) != 0) {
        (void)!err_os(&sync->err, errno, "submit: keep a plan");
    } else {
        (void)!file_sync_dir(sync->folder, &sync->err);
    }
}

static void on_synced(uv_work_t *work, int status)
{
    struct sync *sync = work->data;
    struct server *server = sync->server;
    (void)status;
    for (size_t i = 0; i < STAGING_PLANS_MAX; i++) {
        struct staged_plan *plan = &server->staging.plans[i];
        if (plan->state != STAGED_WHOLE || plan->number != sync->number) {
            continue;
        }
        plan->state = sync->err.code == ERR_OK ? STAGED_DURABLE : STAGED_ENDED;
        plan->refused = sync->err;
        if (!server->stopping && !server->in_trouble) {
            turn_begin(server); /* at its end the first parts are taken */
        }
    }
    close(sync->fd);
    free(sync);
}

static void begin_sync(struct server *server, const struct staged_plan *plan)
{
    struct sync *sync = calloc(1, sizeof *sync);
    ASSERT(sync != NULL);
    sync->server = server;
    sync->number = plan->number;
    snprintf(sync->folder, sizeof sync->folder, "%s", server->staging.folder);
    sync->fd = fcntl(plan->fd, F_DUPFD_CLOEXEC, 0);
    sync->work.data = sync;
    uv_queue_work(server->loop, &sync->work, sync_file, on_synced);
}

static enum err_code add_part(const struct request *r, struct staged_plan *plan, struct err *err)
{
    struct server *server = r->server;
    const struct msg_submit *part = &r->msg->submit;
    enum err_code code = check_jobs(server, part, err);
    code = code != ERR_OK ? code : check_plan(server, plan, part, err);
    code = code != ERR_OK || !plan->dry_run ? code : rehearse(server, plan, part, err);
    if (code != ERR_OK) {
        staging_drop(&server->staging, plan);
        return code;
    }
    if (plan->state == STAGED_WHOLE) {
        digest_map_release(&plan->planned);
        if (plan->dry_run) {
            plan->state = STAGED_ENDED;
        } else {
            begin_sync(server, plan);
        }
    }
    return ERR_OK;
}

enum err_code client_submit(const struct request *r, struct err *err)
{
    struct server *server = r->server;
    const struct msg_submit *part = &r->msg->submit;
    if (part->part_count == 1 && part->part_index == 0) {
        return submit_whole(r, err);
    }
    struct staged_plan *plan = staging_find(&server->staging, r->peer);
    const uint32_t parts_before = plan != NULL && part->part_index > 0 ? plan->parts : 0;
    enum err_code code = staging_add(&server->staging, r->peer, part, r->frame, r->frame_len,
                                     clock_mono_ms(), &plan, err);
    if (code == ERR_OK && plan->parts > parts_before) {
        code = add_part(r, plan, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (part->part_index + 1 == part->part_count) {
        return tell(r, plan, err);
    }
    struct msg *reply = turn_reply(server, r->peer, MSG_OK);
    reply->ok = (struct msg_ok){.request = part->request, .count = part->job_count};
    return ERR_OK;
}

/* ---- taking ---- */

static enum err_code mark(struct server *server, const struct staged_plan *plan, struct err *err)
{
    char body[64] = "";
    if (plan != NULL && plan->next_part < plan->part_count) {
        snprintf(body, sizeof body, "%" PRIu64 " %" PRIu32, plan->number, plan->next_part);
    }
    return store_document_put(server->store, DOCUMENT, body, err);
}

/* ERR_OK also when the turn fell into trouble, and the plan with it. */
static enum err_code take_part(struct server *server, struct staged_plan *plan, struct err *err)
{
    struct msg *part = arena_alloc(&server->answers, sizeof *part);
    enum err_code code = staging_read(plan, &server->answers, part, err);
    if (code != ERR_OK) {
        return code;
    }
    struct core_event event = {
        .kind = CORE_SUBMIT,
        .peer = 1, /* nobody is told: the submitter asks */
        .submit = {
            .experiment = part->submit.experiment,
            .manifest = {(const uint8_t *)plan->manifest.data, plan->manifest.len},
            .plan_json = {(const uint8_t *)strbuf_text(&plan->plan_json), plan->plan_json.len},
            .is_part = true,
            .before = plan->next_part == 1 ? NULL : &plan->counts}};
    code = step_submit(server, &event, &part->submit, err);
    if (code == ERR_OK && !server->in_trouble) {
        plan->counts = server->out.submitted;
        if (server->out.submit_refused != NULL) {
            code = err_set(err, ERR_CONFLICT, "%s", server->out.submit_refused);
        }
    }
    return code;
}

static void refuse(struct server *server, struct staged_plan *plan, const struct err *why)
{
    struct err err;
    log_event(LOG_ERROR, "submission_ended", "experiment='%s' part=%" PRIu32 " error='%s'",
              plan->experiment, plan->next_part, why->text);
    plan->state = STAGED_ENDED;
    plan->refused = *why;
    plan->touched_ms = clock_mono_ms();
    if (mark(server, NULL, &err) != ERR_OK) {
        turn_trouble(server, &err);
    }
}

bool intake_has_work(struct server *server)
{
    return !server->in_trouble && !server->stopping && staging_next(&server->staging) != NULL;
}

void intake_step(struct server *server)
{
    if (!server->in_turn || !intake_has_work(server)) {
        return;
    }
    struct staged_plan *plan = staging_next(&server->staging);
    const int64_t until_ns = clock_mono_ns() + STEP_NS;
    struct err err;
    enum err_code code = ERR_OK;
    do {
        code = take_part(server, plan, &err);
        if (server->in_trouble) {
            return; /* all plans are forgotten: the state says how to go on */
        }
    } while (code == ERR_OK && plan->next_part < plan->part_count && clock_mono_ns() < until_ns);
    plan->state = STAGED_TAKEN;
    if (code != ERR_OK) {
        refuse(server, plan, &err);
    } else if (mark(server, plan, &err) != ERR_OK) {
        turn_trouble(server, &err);
    }
}

void intake_settle(struct server *server)
{
    struct staged_plan *plan = intake_has_work(server) ? staging_next(&server->staging) : NULL;
    if (plan != NULL && plan->state == STAGED_TAKEN && plan->next_part == plan->part_count) {
        log_event(LOG_INFO, "submit", "experiment='%s' jobs=%zu parts=%" PRIu32, plan->experiment,
                  plan->job_count, plan->part_count);
        plan->state = STAGED_ENDED;
        plan->touched_ms = clock_mono_ms();
        strbuf_release(&plan->plan_json);
        if (plan->job_count > LARGE_PLAN_JOBS) {
            malloc_trim(0);
        }
        if (plan->peer == STAGING_NOBODY) {
            staging_drop(&server->staging, plan);
        }
    }
    if (intake_has_work(server)) {
        turn_begin(server);
    }
}

void intake_abandon(struct server *server, const char *experiment)
{
    for (size_t i = 0; i < STAGING_PLANS_MAX; i++) {
        struct staged_plan *plan = &server->staging.plans[i];
        const bool waits = plan->state == STAGED_WHOLE || plan->state == STAGED_DURABLE;
        if ((waits || plan->state == STAGED_TAKEN) && strcmp(plan->experiment, experiment) == 0) {
            struct err why;
            (void)!err_set(&why, ERR_CANCELLED, "the experiment was cancelled meanwhile");
            if (waits) {
                plan->state = STAGED_ENDED;
                plan->refused = why;
            } else {
                refuse(server, plan, &why);
            }
        }
    }
}

bool intake_is_busy(const struct server *server)
{
    for (size_t i = 0; i < STAGING_PLANS_MAX; i++) {
        const enum staged_state state = server->staging.plans[i].state;
        if (state == STAGED_WHOLE || state == STAGED_DURABLE || state == STAGED_TAKEN) {
            return true;
        }
    }
    return false;
}

/* ---- after a restart ---- */

enum err_code intake_resume(struct server *server, struct err *err)
{
    struct arena arena = {0};
    const char *body = NULL;
    char folder[PATH_BYTES_MAX];
    snprintf(folder, sizeof folder, "%s/intake", server->state_dir);
    staging_close(&server->staging);
    staging_open(&server->staging, folder);
    enum err_code code = store_document(server->store, DOCUMENT, &arena, &body, err);
    uint64_t number = 0;
    uint32_t parts_done = 0;
    const bool is_there =
        code == ERR_OK && sscanf(body, "%" SCNu64 " %" SCNu32, &number, &parts_done) == 2;
    arena_release(&arena);
    if (is_there) {
        struct err lost;
        if (staging_adopt(&server->staging, number, parts_done, &lost) == ERR_OK) {
            log_event(LOG_INFO, "submission_resumed", "parts_done=%" PRIu32, parts_done);
        } else {
            /* Nobody was told that it is stored: it was not, then. */
            log_event(LOG_ERROR, "submission_lost", "error='%s' note='submit it again'", lost.text);
            code = mark(server, NULL, err);
            code = code != ERR_OK ? code : store_commit(server->store, err);
        }
    }
    staging_clean(&server->staging);
    return code;
}
