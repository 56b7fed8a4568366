#include "staging.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "codec.h"
#include "limits.h"

void staging_drop(struct staged_plan *plan)
{
    arena_release(&plan->arena);
    strbuf_release(&plan->plan_json);
    free(plan->jobs);
    *plan = (struct staged_plan){0};
}

void staging_expire(struct staging *staging, int64_t now_ms)
{
    for (size_t i = 0; i < STAGING_PLANS_MAX; i++) {
        struct staged_plan *plan = &staging->plans[i];
        if (plan->peer != 0 && now_ms - plan->touched_ms > STAGING_IDLE_MS) {
            staging_drop(plan);
        }
    }
}

void staging_clear(struct staging *staging)
{
    for (size_t i = 0; i < STAGING_PLANS_MAX; i++) {
        staging_drop(&staging->plans[i]);
    }
}

/* The peer's plan, or room for one. */
static struct staged_plan *find(struct staging *staging, uint64_t peer)
{
    struct staged_plan *oldest = &staging->plans[0];
    for (size_t i = 0; i < STAGING_PLANS_MAX; i++) {
        struct staged_plan *plan = &staging->plans[i];
        if (plan->peer == peer) {
            return plan;
        }
        oldest = plan->touched_ms < oldest->touched_ms ? plan : oldest;
    }
    staging_drop(oldest);
    return oldest;
}

static void add_jobs(struct staged_plan *plan, const struct submit_job *jobs, size_t count)
{
    while (plan->job_count + count > plan->job_capacity) {
        plan->job_capacity = plan->job_capacity == 0 ? 256 : 2 * plan->job_capacity;
        plan->jobs = realloc(plan->jobs, plan->job_capacity * sizeof *plan->jobs);
        ASSERT(plan->jobs != NULL);
    }
    if (count > 0) {
        memcpy(plan->jobs + plan->job_count, jobs, count * sizeof *jobs);
    }
    plan->job_count += count;
}

static enum err_code check_bounds(const struct staged_plan *plan, const struct msg_submit *part,
                                  struct err *err)
{
    if (plan->job_count + part->job_count > SUBMIT_JOBS_MAX) {
        return err_set(err, ERR_LIMIT, "submit: a plan may have %d jobs", SUBMIT_JOBS_MAX);
    }
    if (plan->plan_json.len + part->plan_json.len > PLAN_JSON_BYTES_MAX) {
        return err_set(err, ERR_LIMIT, "submit: the plan document may have %d bytes",
                       PLAN_JSON_BYTES_MAX);
    }
    /* Without these the number of parts, and what they leave in memory, would have no end. */
    if (part->part_index > 0 && part->manifest.len > 0) {
        return err_set(err, ERR_INVALID, "submit: the manifest comes with part 0");
    }
    if (part->part_count > 1 && part->job_count == 0 && part->plan_json.len == 0) {
        return err_set(err, ERR_INVALID, "submit: part %u brings nothing", part->part_index);
    }
    return ERR_OK;
}

static size_t bytes_used(const struct staging *staging)
{
    size_t bytes = 0;
    for (size_t i = 0; i < STAGING_PLANS_MAX; i++) {
        const struct staged_plan *plan = &staging->plans[i];
        bytes +=
            plan->arena.bytes_used + plan->plan_json.cap + plan->job_capacity * sizeof *plan->jobs;
    }
    return bytes;
}

static enum err_code check_memory(const struct staging *staging, struct err *err)
{
    const size_t bytes_max = staging->bytes_max != 0 ? staging->bytes_max : STAGING_BYTES_MAX;
    if (bytes_used(staging) <= bytes_max) {
        return ERR_OK;
    }
    return err_set(err, ERR_LIMIT, "submit: the submissions under way may hold %zu MiB in all",
                   bytes_max >> 20);
}

static enum err_code take(struct staged_plan *plan, const uint8_t *frame, size_t frame_len,
                          struct err *err)
{
    struct msg msg;
    plan->arena.bytes_max = plan->arena.bytes_used + DECODE_BUDGET_BYTES;
    enum err_code code = codec_decode(frame, frame_len, "C", &plan->arena, &msg, err);
    if (code != ERR_OK) {
        return code;
    }
    if (plan->parts == 0) {
        plan->experiment = msg.submit.experiment;
        plan->manifest = msg.submit.manifest;
        plan->part_count = msg.submit.part_count;
        plan->dry_run = msg.submit.dry_run;
    }
    strbuf_append(&plan->plan_json, msg.submit.plan_json.data, msg.submit.plan_json.len);
    add_jobs(plan, msg.submit.jobs, msg.submit.job_count);
    plan->parts++;
    return ERR_OK;
}

enum err_code staging_add(struct staging *staging, uint64_t peer, const struct msg_submit *part,
                          const uint8_t *frame, size_t frame_len, int64_t now_ms,
                          struct staged_plan **whole_out, struct err *err)
{
    *whole_out = NULL;
    if (part->part_count == 0 || part->part_index >= part->part_count) {
        return err_set(err, ERR_INVALID, "submit: part %u of %u does not exist", part->part_index,
                       part->part_count);
    }
    struct staged_plan *plan = find(staging, peer);
    if (part->part_index == 0 && plan->parts > 0) {
        staging_drop(plan); /* it begins again */
    }
    plan->peer = peer;
    plan->touched_ms = now_ms;
    if (part->part_index < plan->parts) {
        return ERR_OK;
    }
    if (part->part_index > plan->parts ||
        (plan->parts > 0 && (part->part_count != plan->part_count ||
                             strcmp(part->experiment, plan->experiment) != 0))) {
        staging_drop(plan);
        return err_set(err, ERR_CONFLICT, "submit: part %u was not expected: begin with part 0",
                       part->part_index);
    }
    enum err_code code = check_bounds(plan, part, err);
    code = code != ERR_OK ? code : take(plan, frame, frame_len, err);
    code = code != ERR_OK ? code : check_memory(staging, err);
    if (code != ERR_OK) {
        staging_drop(plan);
        return code;
    }
    if (plan->parts == plan->part_count) {
        *whole_out = plan;
    }
    return ERR_OK;
}
