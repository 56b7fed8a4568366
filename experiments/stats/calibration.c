#include "calibration.h"

#include <math.h>
#include <stdlib.h>

const char *calibration_kind_name(enum calibration_kind kind)
{
    static const char *const NAMES[CALIBRATION_KIND_COUNT] = {
        [CALIBRATION_EQUAL_MASS] = "equal_mass",
        [CALIBRATION_EQUAL_MASS_WEIGHTED] = "equal_mass_weighted",
        [CALIBRATION_EQUAL_WIDTH] = "equal_width",
    };
    return NAMES[kind];
}

/* By log-probability; among equals the wrong ones first, so that the sums do not depend on the
 * order that entries came in. */
static int compare_entries(const void *a, const void *b)
{
    const struct calibration_entry *x = a, *y = b;
    if (x->log_p < y->log_p || x->log_p > y->log_p)
        return x->log_p < y->log_p ? -1 : 1;
    return (int)x->right - (int)y->right;
}

/* The value below which a share `at` (0 … 1) of the sorted entries lies, interpolated linearly. */
static double percentile(const struct calibration_entry *sorted, size_t count, double at)
{
    const double place = at * (double)(count - 1);
    const size_t below = (size_t)place;
    if (below + 1 >= count)
        return sorted[count - 1].log_p;
    const double share = place - (double)below;
    const double low = sorted[below].log_p, high = sorted[below + 1].log_p;
    /* As numpy does, from the nearer side: edges equal entries exactly where they should. */
    return share < 0.5 ? low + (high - low) * share : high - (high - low) * (1.0 - share);
}

static void bin_add(struct calibration_bin *bin, const struct calibration_entry *entry)
{
    bin->confidence += exp(entry->log_p);
    bin->accuracy += entry->right;
    bin->entries++;
}

static void fill_equal_mass(struct calibration *c, const struct calibration_entry *sorted,
                            size_t count)
{
    c->bin_count = count < CALIBRATION_BINS ? count : CALIBRATION_BINS;
    for (size_t b = 0; b < c->bin_count; b++) {
        const double low = percentile(sorted, count, (double)b / (double)c->bin_count);
        const double high = percentile(sorted, count, (double)(b + 1) / (double)c->bin_count);
        for (size_t i = 0; i < count && sorted[i].log_p <= high; i++) {
            if (sorted[i].log_p >= low)
                bin_add(&c->bins[b], &sorted[i]);
        }
    }
}

static void fill_equal_width(struct calibration *c, const struct calibration_entry *sorted,
                             size_t count)
{
    c->bin_count = CALIBRATION_BINS;
    for (size_t i = 0; i < count; i++) {
        const double place = ceil(exp(sorted[i].log_p) * CALIBRATION_BINS) - 1.0;
        const size_t bin = place > 0.0 ? (size_t)place : 0;
        bin_add(&c->bins[bin < CALIBRATION_BINS ? bin : CALIBRATION_BINS - 1], &sorted[i]);
    }
}

/* Sums become means; returns the error over the bins that hold something. */
static double bins_finish(struct calibration *c, bool weighted)
{
    double sum = 0.0, weights = 0.0;
    for (size_t b = 0; b < c->bin_count; b++) {
        struct calibration_bin *bin = &c->bins[b];
        const double entries = (double)bin->entries;
        bin->confidence = bin->entries ? bin->confidence / entries : (double)NAN;
        bin->accuracy = bin->entries ? bin->accuracy / entries : (double)NAN;
        if (bin->entries == 0)
            continue;
        const double weight = weighted ? entries : 1.0;
        sum += weight * fabs(bin->confidence - bin->accuracy);
        weights += weight;
    }
    return weights > 0.0 ? sum / weights : (double)NAN;
}

struct calibration calibration_measure(const struct calibration_entry *entries, size_t count,
                                       enum calibration_kind kind, struct arena *scratch)
{
    struct calibration c = {.error = NAN};
    struct calibration_entry *sorted = arena_array(scratch, count + 1, sizeof *sorted);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (isfinite(entries[i].log_p))
            sorted[kept++] = entries[i];
    }
    c.entries = kept;
    if (kept == 0)
        return c;
    qsort(sorted, kept, sizeof *sorted, compare_entries);
    if (kind == CALIBRATION_EQUAL_WIDTH)
        fill_equal_width(&c, sorted, kept);
    else
        fill_equal_mass(&c, sorted, kept);
    c.error = bins_finish(&c, kind != CALIBRATION_EQUAL_MASS);
    return c;
}
