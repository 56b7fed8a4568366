#include "blob_sources.h"

#include <stdio.h>
#include <string.h>

#include "check.h"

void blob_sources_reset(struct blob_sources *s)
{
    s->count = s->piece_count = s->suspect_count = 0;
    s->current = -1;
    s->waited_ms = 0;
    s->waits_ms_max = SOURCES_WAITS_MS_MIN;
    s->coordinator_only = false;
}

void blob_sources_size(struct blob_sources *s, uint64_t bytes)
{
    const uint64_t wait_ms = SOURCES_WAITS_MS_MIN + bytes / SOURCES_WAIT_BYTES_PER_MS;
    s->waits_ms_max = wait_ms < SOURCES_WAITS_MS_MAX ? wait_ms : SOURCES_WAITS_MS_MAX;
}

bool blob_sources_is_banned(const struct blob_sources *s, const struct digest *server_key)
{
    for (size_t i = 0; i < s->banned_count; i++) {
        if (digest_equal(&s->banned[i], server_key))
            return true;
    }
    return false;
}

void blob_sources_ban(struct blob_sources *s, const struct digest *server_key)
{
    if (blob_sources_is_banned(s, server_key))
        return;
    s->banned[s->banned_next] = *server_key;
    s->banned_next = (s->banned_next + 1) % SOURCES_BANNED_MAX;
    if (s->banned_count < SOURCES_BANNED_MAX)
        s->banned_count++;
}

static enum source_state former_state(const struct blob_sources *s, const struct digest *key)
{
    for (size_t i = 0; i < s->count; i++) {
        if (digest_equal(&s->list[i].server_key, key))
            return s->list[i].state == SOURCE_FAILED ? SOURCE_FAILED : SOURCE_UNTRIED;
    }
    return SOURCE_UNTRIED;
}

void blob_sources_offer(struct blob_sources *s, const struct blob_source *offered, size_t count)
{
    struct source list[BLOB_SOURCES_MAX];
    size_t kept = 0;
    for (size_t i = 0; i < count && kept < BLOB_SOURCES_MAX; i++) {
        if (blob_sources_is_banned(s, &offered[i].server_key) ||
            strncmp(offered[i].endpoint, "tcp://", 6) != 0)
            continue;
        struct source *source = &list[kept++];
        *source = (struct source){.server_key = offered[i].server_key};
        snprintf(source->worker, sizeof source->worker, "%s", offered[i].worker);
        snprintf(source->endpoint, sizeof source->endpoint, "%s", offered[i].endpoint);
        source->state = former_state(s, &source->server_key);
    }
    if (kept > 0)
        memcpy(s->list, list, kept * sizeof *list);
    s->count = kept;
    s->current = -1;
}

enum source_choice blob_sources_choose(struct blob_sources *s)
{
    bool some_are_busy = false;
    s->current = -1;
    if (s->coordinator_only || s->piece_count >= SOURCES_PIECES_MAX)
        return CHOOSE_COORDINATOR;
    for (size_t i = 0; i < s->count; i++) {
        if (s->list[i].state == SOURCE_UNTRIED) {
            s->current = (int)i;
            return CHOOSE_PEER;
        }
        some_are_busy |= s->list[i].state == SOURCE_BUSY;
    }
    if (!some_are_busy || s->waited_ms >= s->waits_ms_max)
        return CHOOSE_COORDINATOR;
    s->waited_ms += SOURCES_WAIT_MS;
    return CHOOSE_WAIT;
}

static void end_current(struct blob_sources *s, enum source_state state)
{
    ASSERT(s->current >= 0 && (size_t)s->current < s->count);
    s->list[s->current].state = state;
    s->current = -1;
}

void blob_sources_busy(struct blob_sources *s)
{
    end_current(s, SOURCE_BUSY);
}

void blob_sources_failed(struct blob_sources *s)
{
    end_current(s, SOURCE_FAILED);
}

/* FNV-1a over checksums: not for proof against a forger, only to tell which piece differs; who
 * escapes it is banned with the others (blob_sources_whole()). */
uint64_t blob_sources_print(uint64_t print, uint32_t crc32c)
{
    return (print ^ crc32c) * 1099511628211u;
}

/* Does the chunk go on where the newest piece ended, from the same source, and, when a former try
 * is being checked, does no suspect's piece begin here? */
static bool continues(const struct blob_sources *s, const struct source *from, uint64_t offset)
{
    if (s->piece_count == 0)
        return false;
    const struct source_piece *last = &s->pieces[s->piece_count - 1];
    for (size_t i = 0; i < s->suspect_count; i++) {
        if (s->suspects[i].from == offset)
            return false;
    }
    return last->to == offset && !last->is_kept &&
           digest_equal(&last->source.server_key, &from->server_key);
}

void blob_sources_kept(struct blob_sources *s, uint64_t bytes, uint64_t print)
{
    ASSERT(s->piece_count == 0);
    s->pieces[s->piece_count++] =
        (struct source_piece){.is_kept = true, .to = bytes, .print = print};
}

void blob_sources_took(struct blob_sources *s, uint64_t offset, size_t len, uint32_t crc32c)
{
    static const struct source coordinator;
    const struct source *from = s->current >= 0 ? &s->list[s->current] : &coordinator;
    if (!continues(s, from, offset)) {
        /* The last one is the coordinator's: blob_sources_choose() sees to it. What is checked
         * against a former try has its pieces. */
        ASSERT(s->piece_count <= SOURCES_PIECES_MAX);
        s->pieces[s->piece_count++] =
            (struct source_piece){.source = *from, .from = offset, .to = offset};
    }
    struct source_piece *piece = &s->pieces[s->piece_count - 1];
    piece->to = offset + len;
    piece->print = blob_sources_print(piece->print, crc32c);
}

static bool is_peer(const struct source_piece *piece)
{
    return piece->source.endpoint[0] != '\0';
}

/* Ban the source unless it is banned: each is named once. */
static size_t accuse(struct blob_sources *s, const struct source_piece *piece,
                     struct source *culprits, size_t count)
{
    if (!is_peer(piece) || blob_sources_is_banned(s, &piece->source.server_key))
        return count;
    blob_sources_ban(s, &piece->source.server_key);
    culprits[count] = piece->source;
    return count + 1;
}

size_t blob_sources_mismatch(struct blob_sources *s, struct source culprits[SOURCES_PIECES_MAX + 1],
                             bool *may_retry)
{
    *may_retry = false;
    for (size_t i = 0; i < s->piece_count; i++)
        *may_retry |= is_peer(&s->pieces[i]) || s->pieces[i].is_kept;
    if (!*may_retry)
        return 0;
    size_t count = 0;
    if (s->piece_count == 1) {
        count = accuse(s, &s->pieces[0], culprits, 0);
    } else {
        memcpy(s->suspects, s->pieces, s->piece_count * sizeof *s->pieces);
        s->suspect_count = s->piece_count;
        s->coordinator_only = true;
    }
    /* Those that were not at fault may be asked again. */
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (!blob_sources_is_banned(s, &s->list[i].server_key))
            s->list[kept++] = s->list[i];
    }
    s->count = kept;
    s->piece_count = 0;
    s->current = -1;
    return count;
}

static bool sent_the_same(const struct blob_sources *s, const struct source_piece *suspect)
{
    for (size_t i = 0; i < s->piece_count; i++) {
        if (s->pieces[i].from == suspect->from && s->pieces[i].to == suspect->to)
            return s->pieces[i].print == suspect->print;
    }
    return false;
}

size_t blob_sources_whole(struct blob_sources *s, struct source culprits[SOURCES_PIECES_MAX + 1])
{
    size_t count = 0;
    bool kept_differs = false;
    for (size_t i = 0; i < s->suspect_count; i++) {
        if (sent_the_same(s, &s->suspects[i]))
            continue;
        kept_differs |= s->suspects[i].is_kept;
        count = accuse(s, &s->suspects[i], culprits, count);
    }
    /* The digest differed, so somebody lied in a way that the fingerprints do not show. */
    const bool nobody_differs = count == 0 && !kept_differs;
    for (size_t i = 0; i < s->suspect_count && nobody_differs; i++)
        count = accuse(s, &s->suspects[i], culprits, count);
    s->suspect_count = 0;
    return count;
}
