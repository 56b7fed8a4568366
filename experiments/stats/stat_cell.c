#include "stat_cell.h"

#include <string.h>

static const struct stat_metric_info METRICS[STAT_METRIC_COUNT] = {
    [STAT_LOSS] = {"loss", "Loss", "nats per answer", true, STAT_SCORES, true},
    [STAT_CONTENT_LOSS] = {"content_loss", "Content-only loss", "nats per answer", true,
                           STAT_SCORES, true},
    [STAT_ACCURACY] = {"accuracy", "Accuracy", "share of answers", false, STAT_SCORES, true},
    [STAT_JS] = {"js", "Jensen-Shannon divergence", "nats", true, STAT_CHOICES, true},
    [STAT_MODE_MATCH] = {"mode_match", "Mode match", "share of items", false, STAT_CHOICES, true},
    [STAT_COVERAGE] = {"coverage", "Coverage", "mass on the candidates", false, STAT_CHOICES, true},
    [STAT_FIRST_ACCURACY] = {"first_accuracy", "First-token accuracy", "share of answers", false,
                             STAT_SCORES, false},
    [STAT_TOKEN_ACCURACY] = {"token_accuracy", "Token accuracy", "share of tokens", false,
                             STAT_SCORES, false},
    [STAT_KL] = {"kl", "KL(target || model)", "nats", true, STAT_CHOICES, false},
    [STAT_REVERSE_KL] = {"reverse_kl", "KL(model || target)", "nats", true, STAT_CHOICES, false},
    [STAT_CROSS_ENTROPY] = {"cross_entropy", "Cross-entropy", "nats", true, STAT_CHOICES, false},
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

bool stat_metric_is(enum stat_metric metric, enum stat_kind kind, bool compared)
{
    return METRICS[metric].kind == kind && (METRICS[metric].compared || !compared);
}

const char *stat_scope_name(enum stat_scope scope, enum stat_kind kind)
{
    return kind == STAT_SCORES ? SCOPES[scope] : "all";
}

bool stat_scope_is(enum stat_scope scope, enum stat_kind kind)
{
    return scope == STAT_IN_CONTEXT || kind == STAT_SCORES;
}

/* Both are copies of one number in a plan: nothing was computed. */
static bool same(double a, double b)
{
    return !(a < b) && !(a > b);
}

bool stat_setting_equal(const struct stat_setting *a, const struct stat_setting *b)
{
    return strcmp(a->component, b->component) == 0 && same(a->temperature, b->temperature) &&
           same(a->top_p, b->top_p) && a->top_k == b->top_k && a->draws == b->draws;
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
    case STAT_FIRST_ACCURACY:
        return record->first_hit ? 1.0 : 0.0;
    case STAT_TOKEN_ACCURACY:
        return record->token_count ? (double)record->hit_tokens / (double)record->token_count : 0.0;
    case STAT_JS:
        return record->choice.js;
    case STAT_MODE_MATCH:
        return record->choice.mode_match;
    case STAT_COVERAGE:
        return record->choice.coverage;
    case STAT_KL:
        return record->choice.kl;
    case STAT_REVERSE_KL:
        return record->choice.reverse_kl;
    case STAT_CROSS_ENTROPY:
        return record->choice.cross_entropy;
    case STAT_METRIC_COUNT:
        break;
    }
    return 0.0;
}

struct stat_range stat_scope_range(enum stat_scope scope, enum stat_kind kind,
                                   uint32_t last_position)
{
    switch (scope) {
    case STAT_IN_CONTEXT:
        return (struct stat_range){kind == STAT_SCORES ? 1 : 0, UINT32_MAX};
    case STAT_LAST:
        return (struct stat_range){last_position, last_position};
    case STAT_ZERO_SHOT:
        return (struct stat_range){0, 0};
    }
    return (struct stat_range){0, 0};
}
