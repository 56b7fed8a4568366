#include "batch.h"

#include "check.h"

static size_t loss_tokens(const struct corpus *corpus, uint32_t sequence)
{
    size_t count = 0;
    for (size_t i = corpus->starts[sequence]; i < corpus->starts[sequence + 1]; i++)
        count += corpus->losses[i] != LOSS_NONE;
    return count;
}

/* From `first` on, not beyond `end`. */
static struct micro_batch micro_batch_at(const struct batch_plan *plan, uint32_t first,
                                         uint32_t end)
{
    const struct corpus *corpus = plan->corpus;
    struct micro_batch batch = {.first_sequence = first};
    for (uint32_t s = first; s < end; s++) {
        size_t length = corpus_length(corpus, s);
        if (s > first && batch.token_count + length > plan->batch_tokens)
            break;
        batch.token_count += length;
        batch.loss_token_count += loss_tokens(corpus, s);
        batch.sequence_count++;
    }
    return batch;
}

/* Where the sequences of a step that begins at `first` end at the latest. */
static uint32_t step_end(const struct batch_plan *plan, uint32_t first)
{
    const uint32_t count = plan->corpus->sequence_count;
    const uint32_t wanted = plan->batch_sequences;
    return wanted > 0 && wanted < count - first ? first + wanted : count;
}

uint32_t batch_micro_max(const struct batch_plan *plan)
{
    const uint32_t count = plan->corpus->sequence_count;
    const uint32_t wanted = plan->batch_sequences ? plan->batch_sequences : plan->accumulate;
    return wanted < count ? wanted : count; /* each holds a sequence at least */
}

uint32_t batch_step(const struct batch_plan *plan, struct data_cursor *cursor,
                    struct micro_batch *out)
{
    ASSERT(plan->accumulate > 0);
    ASSERT(cursor->sequence < plan->corpus->sequence_count);
    const uint32_t end = step_end(plan, cursor->sequence), max = batch_micro_max(plan);
    uint32_t count = 0;
    while (count < max && cursor->sequence < end) {
        out[count] = micro_batch_at(plan, cursor->sequence, end);
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
    const uint32_t sequences = plan->corpus->sequence_count;
    if (plan->batch_sequences > 0)
        return ((int64_t)sequences + plan->batch_sequences - 1) / plan->batch_sequences;
    int64_t micro_count = 0;
    for (uint32_t s = 0; s < sequences; micro_count++)
        s += micro_batch_at(plan, s, sequences).sequence_count;
    return (micro_count + plan->accumulate - 1) / plan->accumulate;
}

struct micro_batch batch_largest(const struct batch_plan *plan, uint32_t first_sequence)
{
    struct micro_batch largest = {.first_sequence = first_sequence};
    uint32_t end = first_sequence;
    for (uint32_t s = first_sequence; s < plan->corpus->sequence_count;) {
        end = s == end ? step_end(plan, s) : end;
        struct micro_batch batch = micro_batch_at(plan, s, end);
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
