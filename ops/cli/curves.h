/* A training's curves from its attempts' metric streams: one row per step, as if it had never been
 * interrupted. */
#ifndef TRIAD_CURVES_H
#define TRIAD_CURVES_H

#include "arena.h"
#include "metrics.h"
#include "str.h"

/* What is kept of a step, in the order of curve_names. */
enum curve {
    CURVE_LOSS,
    CURVE_NORM,
    CURVE_RATE,
    CURVE_TOKENS,
    CURVE_MEMORY,
    CURVE_RSS,
    CURVE_COUNT,
};

/* "loss_nats", …: what the metrics are called. */
extern const char *const curve_names[CURVE_COUNT];

struct curve_row {
    int64_t step;
    int64_t time_ms;
    uint32_t attempt;
    double values[CURVE_COUNT]; /* NaN where nothing was measured */
};

/* Zero-initialise. */
struct curves {
    const char *label; /* of the job */
    struct curve_row *rows;
    size_t count, cap;
};

/* Take in one point of an attempt; attempts come in order, and steps of an attempt ascend. An
 * attempt that begins again at an earlier step replaces what was measured from there on. Points
 * with other names are ignored. */
void curves_add(struct curves *curves, struct arena *arena, uint32_t attempt,
                const struct metric_point *point);

/* Should row `i` be shown when about `most` of all rows are wanted? The first, the last, and evenly
 * between. */
bool curves_shows(const struct curves *curves, size_t i, size_t most);

/* Append a gnuplot script with its data that draws loss, gradient norm, learning rate and tokens
 * per second of all jobs into `path`, as its suffix says (.svg, .png or .pdf). ERR_INVALID for
 * another suffix. */
NODISCARD enum err_code curves_gnuplot(const struct curves *jobs, size_t count, const char *path,
                                       struct strbuf *out, struct err *err);

#endif
