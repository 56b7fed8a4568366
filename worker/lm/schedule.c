#include "schedule.h"

#include <math.h>
#include <string.h>

#include "check.h"
#include "str.h"

static const char *const kind_names[SCHEDULE_KIND_COUNT] = {
    [SCHEDULE_LINEAR] = "linear",
    [SCHEDULE_COSINE] = "cosine",
    [SCHEDULE_CONSTANT] = "constant",
};

/* What is left between minimum and peak (1 … 0) when `progress` of the fall is done. */
static double remaining(enum schedule_kind kind, double progress)
{
    switch (kind) {
    case SCHEDULE_LINEAR:
        return 1.0 - progress;
    case SCHEDULE_COSINE:
        return 0.5 * (1.0 + cos(M_PI * progress));
    case SCHEDULE_CONSTANT:
    case SCHEDULE_KIND_COUNT:
        return 1.0;
    }
    UNREACHABLE("unknown schedule");
}

double schedule_rate(const struct schedule *s, int64_t step)
{
    ASSERT(step >= 0);
    if (step < s->warmup_steps)
        return s->learning_rate * (double)(step + 1) / (double)s->warmup_steps;
    int64_t fall_steps = s->steps > s->warmup_steps ? s->steps - s->warmup_steps : 1;
    double progress = fmin(1.0, (double)(step - s->warmup_steps) / (double)fall_steps);
    double share = remaining(s->kind, progress);
    return s->learning_rate * (s->minimum_lr_ratio + (1.0 - s->minimum_lr_ratio) * share);
}

enum err_code schedule_kind_parse(const char *name, enum schedule_kind *kind_out, struct err *err)
{
    for (int kind = 0; kind < SCHEDULE_KIND_COUNT; kind++) {
        if (strcmp(kind_names[kind], name) == 0) {
            *kind_out = (enum schedule_kind)kind;
            return ERR_OK;
        }
    }
    const char *near = str_did_you_mean(name, kind_names, SCHEDULE_KIND_COUNT);
    return err_set(err, ERR_INVALID, "unknown schedule '%s' (%s%s%s)", name,
                   near ? "did you mean '" : "linear, cosine or constant", near ? near : "",
                   near ? "'?" : "");
}
