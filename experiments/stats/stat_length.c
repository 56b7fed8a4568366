#include "stat_length.h"

#include "stat_arm.h"

#define BINS 17 /* 1, 2, 4, … 65,536 tokens */

static size_t bin_of(uint32_t tokens)
{
    size_t bin = 0;
    while ((1u << bin) < tokens)
        bin++;
    return bin;
}

static void add_record(struct stat_length bins[BINS], const struct stat_record *record)
{
    if (record->position == 0 || record->token_count == 0)
        return;
    struct stat_length *bin = &bins[bin_of(record->token_count)];
    bin->answers++;
    bin->tokens += record->token_count;
    bin->nats_per_answer += stat_record_value(record, STAT_LOSS);
}

struct stat_length *stat_length_measure(const struct stat_arm *arm, struct arena *arena,
                                        size_t *count_out)
{
    struct stat_length bins[BINS] = {0};
    struct stat_length *kept = arena_array(arena, BINS, sizeof *kept);
    *count_out = 0;
    for (size_t s = 0; s < arm->seed_count; s++) {
        for (uint32_t i = 0; i < arm->items[s].record_count; i++)
            add_record(bins, &arm->items[s].records[i]);
    }
    for (size_t b = 0; b < BINS; b++) {
        if (bins[b].answers == 0)
            continue;
        const double nats = bins[b].nats_per_answer;
        bins[b].first = b > 0 ? (1u << (b - 1)) + 1 : 1;
        bins[b].last = 1u << b;
        bins[b].nats_per_answer = nats / (double)bins[b].answers;
        bins[b].nats_per_token = nats / (double)bins[b].tokens;
        kept[(*count_out)++] = bins[b];
    }
    return kept;
}
