#include "stat_calibration.h"

#include "stat_arm.h"

/* Entries gathered over the records of an arm. */
struct entries {
    struct calibration_entry *items;
    size_t count;
};

static size_t entry_total(const struct stat_arm *arm)
{
    size_t total = 0;
    for (size_t s = 0; s < arm->seed_count; s++) {
        for (uint32_t i = 0; i < arm->items[s].record_count; i++)
            total += arm->items[s].records[i].entry_count;
    }
    return total;
}

static void add_tokens(struct entries *out, const struct stat_record *record)
{
    for (uint16_t e = 0; e < record->entry_count; e++)
        out->items[out->count++] =
            (struct calibration_entry){(double)record->entries[e].log_p, record->entries[e].right};
}

static void add_answer(struct entries *out, const struct stat_record *record)
{
    out->items[out->count++] = (struct calibration_entry){-record->greedy_nats, record->hit};
}

/* Gather what the records in the range give. */
static void gather(const struct stat_arm *arm, struct stat_range range, bool answers,
                   struct entries *out)
{
    out->count = 0;
    for (size_t s = 0; s < arm->seed_count; s++) {
        for (uint32_t i = 0; i < arm->items[s].record_count; i++) {
            const struct stat_record *record = &arm->items[s].records[i];
            if (record->position < range.first || record->position > range.last)
                continue;
            if (answers)
                add_answer(out, record);
            else
                add_tokens(out, record);
        }
    }
}

static void measure_kinds(const struct entries *entries,
                          struct calibration out[CALIBRATION_KIND_COUNT])
{
    for (int kind = 0; kind < CALIBRATION_KIND_COUNT; kind++) {
        struct arena scratch = {0};
        out[kind] = calibration_measure(entries->items, entries->count, (enum calibration_kind)kind,
                                        &scratch);
        arena_release(&scratch);
    }
}

struct stat_calibration *stat_calibration_measure(const struct stat_arm *arm, struct arena *arena)
{
    const size_t total = entry_total(arm);
    size_t answers = 0;
    for (size_t s = 0; s < arm->seed_count; s++)
        answers += arm->items[s].record_count;
    if (total == 0)
        return NULL;
    struct stat_calibration *c = arena_alloc(arena, sizeof *c);
    struct arena scratch = {0};
    struct entries entries = {
        arena_array(&scratch, total > answers ? total : answers, sizeof *entries.items), 0};
    for (int scope = 0; scope < STAT_SCOPE_COUNT; scope++) {
        const struct stat_range range =
            stat_scope_range((enum stat_scope)scope, STAT_SCORES, arm->last_position);
        gather(arm, range, false, &entries);
        measure_kinds(&entries, c->tokens[scope]);
        gather(arm, range, true, &entries);
        measure_kinds(&entries, c->answers[scope]);
    }
    gather(arm, (struct stat_range){0, UINT32_MAX}, false, &entries);
    measure_kinds(&entries, c->tokens_all);
    c->tokens_at = arena_array(arena, (size_t)arm->last_position + 1, sizeof *c->tokens_at);
    for (uint32_t p = 0; p <= arm->last_position; p++) {
        struct arena own = {0};
        gather(arm, (struct stat_range){p, p}, false, &entries);
        c->tokens_at[p] =
            calibration_measure(entries.items, entries.count, CALIBRATION_EQUAL_MASS, &own).error;
        arena_release(&own);
    }
    arena_release(&scratch);
    return c;
}
