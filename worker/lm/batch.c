#include "batch.h"

#include "check.h"

static size_t loss_tokens(const struct corpus *corpus, uint32_t sequence)
{
    size_t count = 0;
    for (size_t i = corpus->starts[sequence]; i < corpus->starts[sequence + 1]; i++)
        count += corpus->losses[i] != LOSS_NONE;
    return count;
}

static struct micro_batch micro_batch_at(const struct batch_plan *plan, uint32_t first)
{
    const struct corpus *corpus = plan->corpus;
    struct micro_batch batch = {.first_sequence = first};
    for (uint32_t s = first; s < corpus->sequence_count; s++) {
        size_t length = corpus_length(corpus, s);
        if (s > first && batch.token_count + length > plan->batch_tokens)
            break;
        batch.token_count += length;
        batch.loss_token_count += loss_tokens(corpus, s);
        batch.sequence_count++;
    }
    return batch;
}

uint32_t batch_step(const struct batch_plan *plan, struct data_cursor *cursor,
                    struct micro_batch *out)
{
    ASSERT(plan->accumulate > 0);
    ASSERT(cursor->sequence < plan->corpus->sequence_count);
    uint32_t count = 0;
    while (count < plan->accumulate && cursor->sequence < plan->corpus->sequence_count) {
        out[count] = micro_batch_at(plan, cursor->sequence);
        cursor->sequence += out[count].sequence_count;
        count++;
    }
    if (cursor->sequence == plan->corpus->sequence_count) {
        cursor->sequence = 0;
        cursor->epoch++;
    }
    return count;
}

int64_t batch_steps_per_pass(const struct batch_plan *plan)
{
    int64_t micro_count = 0;
    for (uint32_t s = 0; s < plan->corpus->sequence_count; micro_count++)
        s += micro_batch_at(plan, s).sequence_count;
    return (micro_count + plan->accumulate - 1) / plan->accumulate;
}

struct micro_batch batch_largest(const struct batch_plan *plan, uint32_t first_sequence)
{
    struct micro_batch largest = {.first_sequence = first_sequence};
    for (uint32_t s = first_sequence; s < plan->corpus->sequence_count;) {
        struct micro_batch batch = micro_batch_at(plan, s);
        if (batch.sequence_count > largest.sequence_count)
            largest.sequence_count = batch.sequence_count;
        if (batch.token_count > largest.token_count)
            largest.token_count = batch.token_count;
        if (batch.loss_token_count > largest.loss_token_count)
            largest.loss_token_count = batch.loss_token_count;
        s += batch.sequence_count;
    }
    return largest;
}
