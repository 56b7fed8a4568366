#include "stat_arm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static int compare_records(const void *a, const void *b)
{
    const struct stat_record *x = a;
    const struct stat_record *y = b;
    if (x->sequence != y->sequence)
        return x->sequence < y->sequence ? -1 : 1;
    return (x->position > y->position) - (x->position < y->position);
}

/* The cell's records by (sequence, position); workers deliver them that way, so it is rarely work.
 */
static const struct stat_record *sorted_records(const struct stat_cell *cell, struct arena *arena)
{
    bool sorted = true;
    for (uint32_t i = 1; i < cell->record_count && sorted; i++)
        sorted = compare_records(&cell->records[i - 1], &cell->records[i]) < 0;
    if (sorted)
        return cell->records;
    struct stat_record *copy =
        arena_memdup(arena, cell->records, cell->record_count * sizeof *copy);
    qsort(copy, cell->record_count, sizeof *copy, compare_records);
    return copy;
}

/* Write why the cell cannot be used; false when it can. */
static bool items_problem(const struct stat_items *items, char reason[STAT_REASON_SIZE])
{
    const struct stat_cell *cell = items->cell;
    if (cell->record_count != cell->records_expected) {
        stat_reason(reason, "%u of %u records are there", cell->record_count,
                    cell->records_expected);
        return true;
    }
    for (uint32_t i = 0; i < items->record_count; i++) {
        const struct stat_record *record = &items->records[i];
        if (record->position > cell->last_position) {
            stat_reason(reason, "sequence %u has a record at position %u, beyond k = %u",
                        record->sequence, record->position, cell->last_position);
            return true;
        }
        if (i > 0 && compare_records(record - 1, record) == 0) {
            stat_reason(reason, "sequence %u position %u is there twice", record->sequence,
                        record->position);
            return true;
        }
    }
    return false;
}

static bool is_finite_record(const struct stat_record *record, enum stat_kind kind)
{
    switch (kind) {
    case STAT_SCORES:
        return isfinite(record->content_nats) && isfinite(record->terminator_nats);
    case STAT_CHOICES:
        return isfinite(record->choice.js) && isfinite(record->choice.coverage);
    case STAT_SAMPLES:
        return true; /* a text is a text */
    }
    return true;
}

static uint32_t count_not_finite(const struct stat_items *items)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < items->record_count; i++)
        count += !is_finite_record(&items->records[i], items->cell->kind);
    return count;
}

/* Fill `items` of a cell and say why it cannot be used, "" when it can. */
static void items_build(struct stat_items *items, const struct stat_cell *cell,
                        char reason[STAT_REASON_SIZE], struct arena *arena)
{
    reason[0] = '\0';
    *items = (struct stat_items){.cell = cell};
    if (cell->state == STAT_CELL_MISSING) {
        stat_reason(reason, "%s", cell->reason ? cell->reason : "no reason given");
        return;
    }
    items->records = sorted_records(cell, arena);
    items->record_count = cell->record_count;
    if (!items_problem(items, reason))
        items->not_finite = count_not_finite(items);
}

/* A sequence's share of one seed; the parts of a sequence are merged afterwards. */
struct part {
    uint32_t dataset; /* first seed with the same pairing digest */
    uint32_t sequence;
    uint32_t seed_index;
    struct cluster cluster;
};

static int compare_parts(const void *a, const void *b)
{
    const struct part *x = a;
    const struct part *y = b;
    if (x->dataset != y->dataset)
        return x->dataset < y->dataset ? -1 : 1;
    if (x->sequence != y->sequence)
        return x->sequence < y->sequence ? -1 : 1;
    return (x->seed_index > y->seed_index) - (x->seed_index < y->seed_index);
}

static uint32_t dataset_of(const struct stat_arm *arm, size_t seed_index)
{
    for (size_t s = 0; s < seed_index; s++)
        if (strcmp(arm->cells[s]->pairing, arm->cells[seed_index]->pairing) == 0)
            return (uint32_t)s;
    return (uint32_t)seed_index;
}

/* Append one part per sequence of a seed that has positions in the range; returns the new count. */
static size_t append_parts(struct part *parts, size_t count, const struct stat_arm *arm,
                           const struct stat_arm *baseline, size_t seed_index,
                           enum stat_metric metric, struct stat_range range)
{
    const struct stat_items *items = &arm->items[seed_index];
    const size_t first_part = count;
    const uint32_t dataset = dataset_of(arm, seed_index);
    const uint32_t permutations = items->cell->permutations > 1 ? items->cell->permutations : 1;
    for (uint32_t i = 0; i < items->record_count; i++) {
        const struct stat_record *record = &items->records[i];
        if (record->position < range.first || record->position > range.last)
            continue;
        double value = stat_record_value(record, metric);
        if (baseline)
            value -= stat_record_value(&baseline->items[seed_index].records[i], metric);
        const uint32_t sequence = record->sequence / permutations;
        if (count == first_part || parts[count - 1].sequence != sequence)
            parts[count++] = (struct part){dataset, sequence, (uint32_t)seed_index, {0, 0}};
        parts[count - 1].cluster.sum += value;
        parts[count - 1].cluster.count++;
    }
    return count;
}

struct cluster *stat_arm_clusters(const struct stat_arm *arm, const struct stat_arm *baseline,
                                  enum stat_metric metric, struct stat_range range,
                                  struct arena *arena, size_t *count_out)
{
    ASSERT(arm->complete && (!baseline || baseline->complete));
    size_t record_count = 0;
    for (size_t s = 0; s < arm->seed_count; s++)
        record_count += arm->items[s].record_count;
    struct part *parts = arena_array(arena, record_count, sizeof *parts);
    size_t part_count = 0;
    for (size_t s = 0; s < arm->seed_count; s++)
        part_count = append_parts(parts, part_count, arm, baseline, s, metric, range);
    if (arm->seed_count > 1)
        qsort(parts, part_count, sizeof *parts, compare_parts);

    struct cluster *clusters = arena_array(arena, part_count, sizeof *clusters);
    size_t count = 0;
    for (size_t i = 0; i < part_count; i++) {
        bool same = i > 0 && parts[i].dataset == parts[i - 1].dataset &&
                    parts[i].sequence == parts[i - 1].sequence;
        if (!same)
            clusters[count++] = (struct cluster){0, 0};
        clusters[count - 1].sum += parts[i].cluster.sum;
        clusters[count - 1].count += parts[i].cluster.count;
    }
    *count_out = count;
    return clusters;
}

static struct estimate estimate_range(const struct stat_arm *arm, enum stat_metric metric,
                                      struct stat_range range, double alpha)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    size_t count;
    struct cluster *clusters = stat_arm_clusters(arm, NULL, metric, range, &scratch, &count);
    struct estimate e = estimate_clustered(clusters, count, alpha);
    arena_release(&scratch);
    return e;
}

static double se_independent(const struct stat_arm *arm, enum stat_metric metric)
{
    size_t record_count = 0;
    for (size_t s = 0; s < arm->seed_count; s++)
        record_count += arm->items[s].record_count;
    struct arena scratch;
    arena_init(&scratch, 0);
    double *values = arena_array(&scratch, record_count, sizeof *values);
    const uint32_t first = stat_scope_range(STAT_IN_CONTEXT, arm->kind, 0).first;
    size_t count = 0;
    for (size_t s = 0; s < arm->seed_count; s++)
        for (uint32_t i = 0; i < arm->items[s].record_count; i++)
            if (arm->items[s].records[i].position >= first)
                values[count++] = stat_record_value(&arm->items[s].records[i], metric);
    double se = estimate_se_independent(values, count);
    arena_release(&scratch);
    return se;
}

static void summarise_nothing(struct stat_arm *arm)
{
    for (size_t m = 0; m < STAT_METRIC_COUNT; m++) {
        for (size_t scope = 0; scope < STAT_SCOPE_COUNT; scope++)
            arm->summary[scope][m] = ESTIMATE_NONE;
        arm->se_independent[m] = NAN;
    }
}

/* What only answers have: positions, calibration, lengths. */
static void summarise_answers(struct stat_arm *arm, double alpha, struct arena *arena)
{
    arm->positions = arena_array(arena, (size_t)arm->last_position + 1, sizeof *arm->positions);
    for (uint32_t p = 0; p <= arm->last_position; p++) {
        arm->positions[p].position = p;
        for (size_t m = 0; m < STAT_METRIC_COUNT; m++)
            arm->positions[p].metric[m] =
                stat_metric_is((enum stat_metric)m, STAT_SCORES, false)
                    ? estimate_range(arm, (enum stat_metric)m, (struct stat_range){p, p}, alpha)
                    : ESTIMATE_NONE;
    }
    arm->calibration = stat_calibration_measure(arm, arena);
    arm->lengths = stat_length_measure(arm, arena, &arm->length_count);
}

static void summarise(struct stat_arm *arm, double alpha, struct arena *arena)
{
    for (size_t m = 0; m < STAT_METRIC_COUNT; m++) {
        const enum stat_metric metric = (enum stat_metric)m;
        if (!stat_metric_is(metric, arm->kind, false))
            continue;
        for (size_t s = 0; s < STAT_SCOPE_COUNT; s++) {
            const enum stat_scope scope = (enum stat_scope)s;
            if (stat_scope_is(scope, arm->kind))
                arm->summary[s][m] = estimate_range(
                    arm, metric, stat_scope_range(scope, arm->kind, arm->last_position), alpha);
        }
        arm->se_independent[m] = se_independent(arm, metric);
    }
    if (arm->kind == STAT_SCORES)
        summarise_answers(arm, alpha, arena);
}

static int compare_seeds(const void *a, const void *b)
{
    const struct stat_cell *x = *(const struct stat_cell *const *)a;
    const struct stat_cell *y = *(const struct stat_cell *const *)b;
    return (x->seed > y->seed) - (x->seed < y->seed);
}

void stat_arm_build(struct stat_arm *arm, const struct stat_cell **cells, size_t seed_count,
                    double alpha, struct arena *arena)
{
    ASSERT(seed_count > 0);
    qsort(cells, seed_count, sizeof(struct stat_cell *), compare_seeds);
    const struct stat_cell *first = cells[0];
    *arm = (struct stat_arm){
        .family = first->family,
        .variant = first->variant,
        .format = first->format,
        .suite = first->suite,
        .task = first->task,
        .kind = first->kind,
        .last_position = first->last_position,
        .complete = true,
        .cells = cells,
        .seed_count = seed_count,
        .items = arena_array(arena, seed_count, sizeof *arm->items),
    };
    for (size_t s = 0; s < seed_count; s++) {
        char reason[STAT_REASON_SIZE];
        items_build(&arm->items[s], cells[s], reason, arena);
        arm->not_finite += arm->items[s].not_finite;
        if (cells[s]->last_position > arm->last_position)
            arm->last_position = cells[s]->last_position;
        if (reason[0] == '\0' || !arm->complete)
            continue;
        arm->complete = false;
        if (seed_count == 1)
            stat_reason(arm->reason, "%s", reason);
        else
            stat_reason(arm->reason, "seed %llu: %s", (unsigned long long)cells[s]->seed, reason);
    }
    summarise_nothing(arm);
    if (arm->complete)
        summarise(arm, alpha, arena);
}

/* Do both sides of one seed hold the same items? Writes the first difference. */
static bool items_differ(const struct stat_items *a, const struct stat_items *b,
                         char reason[STAT_REASON_SIZE])
{
    if (strcmp(a->cell->pairing, b->cell->pairing) != 0) {
        stat_reason(reason, "the examples differ: pairing digest %.12s... against %.12s...",
                    a->cell->pairing, b->cell->pairing);
        return true;
    }
    if (a->record_count != b->record_count) {
        stat_reason(reason, "the items differ: %u records against %u", a->record_count,
                    b->record_count);
        return true;
    }
    for (uint32_t i = 0; i < a->record_count; i++) {
        if (compare_records(&a->records[i], &b->records[i]) == 0)
            continue;
        stat_reason(reason, "the items differ: sequence %u position %u is on one side only",
                    a->records[i].sequence, a->records[i].position);
        return true;
    }
    return false;
}

bool stat_arm_pair_problem(const struct stat_arm *baseline, const struct stat_arm *against,
                           char reason[STAT_REASON_SIZE])
{
    ASSERT(baseline->complete && against->complete);
    bool same_seeds = baseline->seed_count == against->seed_count;
    for (size_t s = 0; same_seeds && s < baseline->seed_count; s++)
        same_seeds = baseline->cells[s]->seed == against->cells[s]->seed;
    if (!same_seeds) {
        stat_reason(reason, "the seeds differ: %s has %zu, %s has %zu of them", baseline->variant,
                    baseline->seed_count, against->variant, against->seed_count);
        return true;
    }
    for (size_t s = 0; s < baseline->seed_count; s++)
        if (items_differ(&baseline->items[s], &against->items[s], reason))
            return true;
    return false;
}
