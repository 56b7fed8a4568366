#include "staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounds.h"
#include "check.h"
#include "codec.h"
#include "file.h"

#define LARGE_FILE_BYTES ((uint64_t)4 << 20)

void staging_open(struct staging *staging, const char *folder)
{
    staging->folder = strdup(folder);
    ASSERT(staging->folder != NULL);
}

static void path_of(const struct staging *staging, uint64_t number, char path[PATH_BYTES_MAX])
{
    snprintf(path, PATH_BYTES_MAX, "%s/%llu", staging->folder, (unsigned long long)number);
}

static void *close_beside(void *fd)
{
    close((int)(intptr_t)fd);
    return NULL;
}

/* The last one to close a removed file waits for the file system to give back its blocks: tens of
 * milliseconds for a million jobs, in which the loop would stand still. */
static void close_file(const struct staged_plan *plan)
{
    pthread_t thread;
    if (plan->bytes < LARGE_FILE_BYTES ||
        pthread_create(&thread, NULL, close_beside, (void *)(intptr_t)plan->fd) != 0) {
        close(plan->fd);
    } else {
        pthread_detach(thread);
    }
}

static void forget(struct staged_plan *plan)
{
    free(plan->experiment);
    strbuf_release(&plan->manifest);
    strbuf_release(&plan->plan_json);
    digest_map_release(&plan->planned);
    if (plan->fd >= 0 && plan->state != STAGED_FREE) {
        close_file(plan);
    }
    *plan = (struct staged_plan){.fd = -1};
}

void staging_drop(struct staging *staging, struct staged_plan *plan)
{
    if (plan->state != STAGED_FREE && plan->fd >= 0) {
        char path[PATH_BYTES_MAX];
        path_of(staging, plan->number, path);
        unlink(path);
    }
    forget(plan);
}

void staging_close(struct staging *staging)
{
    for (size_t i = 0; i < STAGING_PLANS_MAX; i++) {
        forget(&staging->plans[i]);
    }
    free(staging->folder);
    staging->folder = NULL;
}

static bool may_be_dropped(const struct staged_plan *plan)
{
    return plan->state == STAGED_ARRIVING || plan->state == STAGED_ENDED;
}

void staging_expire(struct staging *staging, int64_t now_ms)
{
    for (size_t i = 0; i < STAGING_PLANS_MAX; i++) {
        struct staged_plan *plan = &staging->plans[i];
        if (may_be_dropped(plan) && now_ms - plan->touched_ms > STAGING_IDLE_MS) {
            staging_drop(staging, plan);
        }
    }
}

struct staged_plan *staging_find(struct staging *staging, uint64_t peer)
{
    for (size_t i = 0; i < STAGING_PLANS_MAX; i++) {
        if (staging->plans[i].state != STAGED_FREE && staging->plans[i].peer == peer) {
            return &staging->plans[i];
        }
    }
    return NULL;
}

struct staged_plan *staging_next(struct staging *staging)
{
    struct staged_plan *next = NULL;
    for (size_t i = 0; i < STAGING_PLANS_MAX; i++) {
        struct staged_plan *plan = &staging->plans[i];
        if (plan->state == STAGED_TAKEN) {
            return plan;
        }
        if (plan->state == STAGED_DURABLE && (next == NULL || plan->number < next->number)) {
            next = plan;
        }
    }
    return next;
}

/* ---- arriving ---- */

/* A free place, or that of the plan that has been idle for longest. */
static struct staged_plan *make_room(struct staging *staging)
{
    struct staged_plan *oldest = NULL;
    for (size_t i = 0; i < STAGING_PLANS_MAX; i++) {
        struct staged_plan *plan = &staging->plans[i];
        if (plan->state == STAGED_FREE) {
            return plan;
        }
        if (may_be_dropped(plan) && (oldest == NULL || plan->touched_ms < oldest->touched_ms)) {
            oldest = plan;
        }
    }
    if (oldest != NULL) {
        staging_drop(staging, oldest);
    }
    return oldest;
}

static enum err_code begin(struct staging *staging, struct staged_plan *plan, uint64_t peer,
                           const struct msg_submit *part, struct err *err)
{
    *plan = (struct staged_plan){.state = STAGED_ARRIVING,
                                 .number = ++staging->number_last,
                                 .peer = peer,
                                 .part_count = part->part_count,
                                 .experiment = strdup(part->experiment),
                                 .dry_run = part->dry_run,
                                 .fd = -1};
    ASSERT(plan->experiment != NULL);
    strbuf_append(&plan->manifest, part->manifest.data, part->manifest.len);
    if (plan->dry_run) {
        return ERR_OK;
    }
    char path[PATH_BYTES_MAX];
    path_of(staging, plan->number, path);
    enum err_code code = file_mkdirs(staging->folder, 0700, err);
    if (code != ERR_OK) {
        return code;
    }
    plan->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return plan->fd >= 0 ? ERR_OK : err_os(err, errno, "submit: write '%s'", path);
}

static enum err_code check_bounds(const struct staging *staging, const struct staged_plan *plan,
                                  const struct msg_submit *part, size_t frame_len, struct err *err)
{
    if (plan->job_count + part->job_count > SUBMIT_JOBS_MAX) {
        return err_set(err, ERR_LIMIT, "submit: a plan may have %d jobs", SUBMIT_JOBS_MAX);
    }
    if (plan->plan_json.len + part->plan_json.len > PLAN_JSON_BYTES_MAX) {
        return err_set(err, ERR_LIMIT, "submit: the plan document may have %d bytes",
                       PLAN_JSON_BYTES_MAX);
    }
    /* Without these the number of parts, and what they leave behind, would have no end. */
    if (part->part_index > 0 && part->manifest.len > 0) {
        return err_set(err, ERR_INVALID, "submit: the manifest comes with part 0");
    }
    if (part->part_count > 1 && part->job_count == 0 && part->plan_json.len == 0) {
        return err_set(err, ERR_INVALID, "submit: part %u brings nothing", part->part_index);
    }
    uint64_t bytes = frame_len;
    for (size_t i = 0; i < STAGING_PLANS_MAX; i++) {
        bytes += staging->plans[i].bytes;
    }
    const uint64_t bytes_max = staging->bytes_max != 0 ? staging->bytes_max : STAGING_BYTES_MAX;
    return bytes <= bytes_max
               ? ERR_OK
               : err_set(err, ERR_LIMIT,
                         "submit: the submissions under way may hold %llu MiB in all",
                         (unsigned long long)(bytes_max >> 20));
}

static enum err_code append(struct staged_plan *plan, const void *bytes, size_t len,
                            struct err *err)
{
    const uint8_t *at = bytes;
    while (len > 0) {
        const ssize_t n = pwrite(plan->fd, at, len, (off_t)plan->bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_os(err, errno, "submit: keep a part");
        }
        at += n;
        len -= (size_t)n;
        plan->bytes += (uint64_t)n;
    }
    return ERR_OK;
}

static enum err_code take(struct staged_plan *plan, const struct msg_submit *part,
                          const uint8_t *frame, size_t frame_len, struct err *err)
{
    const uint32_t len = (uint32_t)frame_len;
    enum err_code code = ERR_OK;
    if (!plan->dry_run) {
        code = append(plan, &len, sizeof len, err);
        code = code != ERR_OK ? code : append(plan, frame, frame_len, err);
    }
    strbuf_append(&plan->plan_json, part->plan_json.data, part->plan_json.len);
    plan->job_count += part->job_count;
    plan->parts++;
    if (plan->parts == plan->part_count) {
        plan->state = STAGED_WHOLE;
    }
    return code;
}

/* The plan that a part belongs to; with part 0 a new one begins. */
static enum err_code plan_of(struct staging *staging, uint64_t peer, const struct msg_submit *part,
                             struct staged_plan **out, struct err *err)
{
    struct staged_plan *plan = staging_find(staging, peer);
    if (plan != NULL && part->part_index == 0) {
        if (may_be_dropped(plan)) {
            staging_drop(staging, plan);
        } else {
            plan->peer = STAGING_NOBODY; /* it goes on by itself */
        }
        plan = NULL;
    }
    if (plan != NULL) {
        *out = plan;
        return ERR_OK;
    }
    if (part->part_index != 0) {
        return err_set(err, ERR_CONFLICT, "submit: part %u was not expected: begin with part 0",
                       part->part_index);
    }
    *out = make_room(staging);
    if (*out == NULL) {
        return err_set(err, ERR_CONFLICT,
                       "submit: %d submissions are being taken in: try again in a minute",
                       STAGING_PLANS_MAX);
    }
    enum err_code code = begin(staging, *out, peer, part, err);
    if (code != ERR_OK) {
        staging_drop(staging, *out);
    }
    return code;
}

enum err_code staging_add(struct staging *staging, uint64_t peer, const struct msg_submit *part,
                          const uint8_t *frame, size_t frame_len, int64_t now_ms,
                          struct staged_plan **plan_out, struct err *err)
{
    if (part->part_count == 0 || part->part_index >= part->part_count) {
        return err_set(err, ERR_INVALID, "submit: part %u of %u does not exist", part->part_index,
                       part->part_count);
    }
    struct staged_plan *plan = NULL;
    enum err_code code = plan_of(staging, peer, part, &plan, err);
    if (code != ERR_OK) {
        return code;
    }
    plan->touched_ms = now_ms;
    *plan_out = plan;
    const bool is_same =
        part->part_count == plan->part_count && strcmp(part->experiment, plan->experiment) == 0;
    if (is_same && part->part_index < plan->parts) {
        return ERR_OK;
    }
    code = is_same && part->part_index == plan->parts
               ? check_bounds(staging, plan, part, frame_len, err)
               : err_set(err, ERR_CONFLICT, "submit: part %u was not expected: begin with part 0",
                         part->part_index);
    code = code != ERR_OK ? code : take(plan, part, frame, frame_len, err);
    if (code != ERR_OK && (may_be_dropped(plan) || plan->state == STAGED_WHOLE)) {
        staging_drop(staging, plan);
    }
    return code;
}

/* ---- taking ---- */

static bool read_bytes(const struct staged_plan *plan, void *out, size_t len, uint64_t offset)
{
    return pread(plan->fd, out, len, (off_t)offset) == (ssize_t)len;
}

enum err_code staging_read(struct staged_plan *plan, struct arena *arena, struct msg *part_out,
                           struct err *err)
{
    uint32_t len = 0;
    if (!read_bytes(plan, &len, sizeof len, plan->next_byte) || len > FRAME_BYTES_MAX) {
        return err_set(err, ERR_CORRUPT, "submit: part %u cannot be read back", plan->next_part);
    }
    uint8_t *frame = arena_alloc(arena, len);
    if (!read_bytes(plan, frame, len, plan->next_byte + sizeof len)) {
        return err_set(err, ERR_CORRUPT, "submit: part %u cannot be read back", plan->next_part);
    }
    enum err_code code = codec_decode(frame, len, "C", arena, part_out, err);
    if (code != ERR_OK || part_out->kind != MSG_SUBMIT) {
        return err_set(err, ERR_CORRUPT, "submit: part %u cannot be read back", plan->next_part);
    }
    plan->next_part++;
    plan->next_byte += sizeof len + len;
    return ERR_OK;
}

/* ---- after a restart ---- */

static enum err_code skip(struct staged_plan *plan, uint32_t parts_done, struct err *err)
{
    struct arena arena = {0};
    struct msg part;
    enum err_code code = staging_read(plan, &arena, &part, err);
    if (code == ERR_OK) {
        plan->part_count = plan->parts = part.submit.part_count;
        plan->experiment = strdup(part.submit.experiment);
        ASSERT(plan->experiment != NULL);
    }
    arena_release(&arena);
    while (code == ERR_OK && plan->next_part < parts_done) {
        uint32_t len = 0;
        if (!read_bytes(plan, &len, sizeof len, plan->next_byte)) {
            return err_set(err, ERR_CORRUPT, "submit: part %u cannot be read back",
                           plan->next_part);
        }
        plan->next_part++;
        plan->next_byte += sizeof len + len;
    }
    return code;
}

enum err_code staging_adopt(struct staging *staging, uint64_t number, uint32_t parts_done,
                            struct err *err)
{
    struct staged_plan *plan = &staging->plans[0];
    char path[PATH_BYTES_MAX];
    path_of(staging, number, path);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return err_os(err, errno, "submit: read '%s'", path);
    }
    *plan = (struct staged_plan){
        .state = STAGED_TAKEN, .number = number, .peer = STAGING_NOBODY, .fd = fd};
    enum err_code code = skip(plan, parts_done, err);
    if (code != ERR_OK) {
        staging_drop(staging, plan);
    }
    staging->number_last = number > staging->number_last ? number : staging->number_last;
    return code;
}

void staging_clean(struct staging *staging)
{
    DIR *dir = opendir(staging->folder);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        long long number = 0;
        if (!str_to_i64(entry->d_name, &number)) {
            continue;
        }
        bool is_known = false;
        for (size_t i = 0; i < STAGING_PLANS_MAX; i++) {
            const struct staged_plan *plan = &staging->plans[i];
            is_known |= plan->state != STAGED_FREE && plan->number == (uint64_t)number;
        }
        if (!is_known) {
            unlinkat(dirfd(dir), entry->d_name, 0);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}
