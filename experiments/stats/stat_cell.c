#include "stat_cell.h"

static const struct stat_metric_info METRICS[STAT_METRIC_COUNT] = {
    [STAT_LOSS] = {"loss", "Loss", "nats per answer", true},
    [STAT_CONTENT_LOSS] = {"content_loss", "Content-only loss", "nats per answer", true},
    [STAT_ACCURACY] = {"accuracy", "Accuracy", "share of answers", false},
};

static const char *const SCOPES[STAT_SCOPE_COUNT] = {
    [STAT_IN_CONTEXT] = "in_context",
    [STAT_LAST] = "last",
    [STAT_ZERO_SHOT] = "zero_shot",
};

const struct stat_metric_info *stat_metric_info(enum stat_metric metric)
{
    return &METRICS[metric];
}

const char *stat_scope_name(enum stat_scope scope)
{
    return SCOPES[scope];
}

double stat_record_value(const struct stat_record *record, enum stat_metric metric)
{
    switch (metric) {
    case STAT_LOSS:
        return record->content_nats + record->terminator_nats;
    case STAT_CONTENT_LOSS:
        return record->content_nats;
    case STAT_ACCURACY:
        return record->hit ? 1.0 : 0.0;
    }
    return 0.0;
}

struct stat_range stat_scope_range(enum stat_scope scope, uint32_t last_position)
{
    switch (scope) {
    case STAT_IN_CONTEXT:
        return (struct stat_range){1, UINT32_MAX};
    case STAT_LAST:
        return (struct stat_range){last_position, last_position};
    case STAT_ZERO_SHOT:
        return (struct stat_range){0, 0};
    }
    return (struct stat_range){0, 0};
}
