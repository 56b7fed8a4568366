#include "select.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "rng.h"

enum { MEMO_TEXT_MAX = 256 }; /* longer texts are rarely asked for twice */

/* Open addressing over the hash of the text; texts are kept to be sure. */
struct memo_slot {
    uint64_t hash;
    struct str text; /* data NULL: free */
    size_t count;
};

struct token_memo {
    struct arena arena;
    struct memo_slot *slots;
    size_t size, used; /* a power of two, at most half used */
};

/* FNV-1a; the memo survives any collision. */
static uint64_t hash_text(struct str text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * 0x100000001b3u;
    return hash;
}

static struct memo_slot *find_slot(struct memo_slot *slots, size_t size, struct str text,
                                   uint64_t hash)
{
    size_t at = hash & (size - 1);
    while (slots[at].text.data && !(slots[at].hash == hash && str_equal(slots[at].text, text)))
        at = (at + 1) & (size - 1);
    return &slots[at];
}

static void grow_memo(struct token_memo *memo)
{
    size_t size = memo->size ? 2 * memo->size : 1024;
    struct memo_slot *slots = calloc(size, sizeof *slots);
    ASSERT(slots != NULL);
    for (size_t i = 0; i < memo->size; i++) {
        const struct memo_slot *old = &memo->slots[i];
        if (old->text.data)
            *find_slot(slots, size, old->text, old->hash) = *old;
    }
    free(memo->slots);
    memo->slots = slots;
    memo->size = size;
}

static struct token_memo *memo_of(struct token_counter *counter)
{
    if (!counter->memo) {
        counter->memo = calloc(1, sizeof *counter->memo);
        ASSERT(counter->memo != NULL);
    }
    if (2 * counter->memo->used >= counter->memo->size)
        grow_memo(counter->memo);
    return counter->memo;
}

enum err_code token_counter_text(struct token_counter *counter, struct str text, size_t *count_out,
                                 struct err *err)
{
    if (text.len == 0 || text.len > MEMO_TEXT_MAX) {
        *count_out = 0;
        return text.len ? counter->count(counter->ctx, text, count_out, err) : ERR_OK;
    }
    struct token_memo *memo = memo_of(counter);
    uint64_t hash = hash_text(text);
    struct memo_slot *slot = find_slot(memo->slots, memo->size, text, hash);
    if (!slot->text.data) {
        size_t count;
        enum err_code code = counter->count(counter->ctx, text, &count, err);
        if (code)
            return code;
        const char *copy = arena_strndup(&memo->arena, text.data, text.len);
        *slot = (struct memo_slot){hash, {copy, text.len}, count};
        memo->used++;
    }
    *count_out = slot->count;
    return ERR_OK;
}

static enum err_code count_segment(struct token_counter *counter, const struct segment *segment,
                                   size_t *count_out, struct err *err)
{
    *count_out = 1;
    return segment->kind == SEGMENT_SPECIAL
               ? ERR_OK
               : token_counter_text(counter, segment->text, count_out, err);
}

enum err_code token_counter_sequence(struct token_counter *counter, const struct sequence *sequence,
                                     size_t *count_out, struct err *err)
{
    size_t total = 0;
    for (uint32_t i = 0; i < sequence->segment_count; i++) {
        size_t count;
        enum err_code code = count_segment(counter, &sequence->segments[i], &count, err);
        if (code)
            return code;
        total += count;
    }
    *count_out = total;
    return ERR_OK;
}

void token_counter_release(struct token_counter *counter)
{
    if (!counter->memo)
        return;
    arena_release(&counter->memo->arena);
    free(counter->memo->slots);
    free(counter->memo);
    counter->memo = NULL;
}

/* The same for one format. A segment of example i that is followed by none of it ends it. */
static enum err_code reach_in_format(struct token_counter *counter,
                                     const struct format_options *format,
                                     const struct instance *instance, size_t context,
                                     int32_t *reach_out, struct err *err)
{
    struct arena scratch = {0};
    struct sequence sequence;
    enum err_code code = ERR_OK;
    int32_t reach = -1;
    size_t total = 0;
    format_render(format, instance, instance->example_count, &scratch, &sequence);
    for (uint32_t i = 0; !code && i < sequence.segment_count && total <= context; i++) {
        const struct segment *segment = &sequence.segments[i];
        size_t count = 0;
        code = count_segment(counter, segment, &count, err);
        total += count;
        bool last =
            i + 1 == sequence.segment_count || sequence.segments[i + 1].example != segment->example;
        if (!code && last && total <= context)
            reach = segment->example;
    }
    arena_release(&scratch);
    *reach_out = reach;
    return code;
}

enum err_code select_reach(struct token_counter *counter, const struct format_options *formats,
                           size_t format_count, const struct instance *instance, size_t context,
                           int32_t *reach_out, struct err *err)
{
    int32_t least = (int32_t)instance->example_count - 1;
    for (size_t f = 0; f < format_count; f++) {
        int32_t reach;
        enum err_code code = reach_in_format(counter, &formats[f], instance, context, &reach, err);
        if (code)
            return code;
        least = reach < least ? reach : least;
    }
    *reach_out = least;
    return ERR_OK;
}

static uint64_t count_reaching(const int32_t *reach, size_t count, int32_t k)
{
    uint64_t reaching = 0;
    for (size_t i = 0; i < count; i++)
        reaching += reach[i] >= k;
    return reaching;
}

uint32_t select_k(const int32_t *reach, size_t count)
{
    int32_t most = 0;
    for (size_t i = 0; i < count; i++)
        most = reach[i] > most ? reach[i] : most;
    uint32_t best = 0;
    uint64_t best_score = 0;
    for (int32_t k = 1; k <= most; k++) {
        const uint64_t score = (uint64_t)k * count_reaching(reach, count, k);
        if (score > best_score) {
            best_score = score;
            best = (uint32_t)k;
        }
    }
    if (best < SELECT_K_MIN && count_reaching(reach, count, SELECT_K_MIN) >= SELECT_K_MIN_REACHING)
        best = SELECT_K_MIN;
    return best;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

size_t select_sequences(const int32_t *reach, size_t count, uint32_t k, size_t max, uint64_t seed,
                        uint32_t *chosen)
{
    struct rng stream = rng_new(seed, "select");
    uint32_t *order = calloc(count + 1, sizeof *order);
    ASSERT(order != NULL);
    size_t found = 0;
    rng_permutation(&stream, order, count);
    for (size_t i = 0; i < count && found < max; i++) {
        if (reach[order[i]] >= (int32_t)k)
            chosen[found++] = order[i];
    }
    free(order);
    qsort(chosen, found, sizeof *chosen, ascending);
    return found;
}
