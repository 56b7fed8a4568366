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

static uint32_t shard_count(const struct batch_plan *plan)
{
    return plan->shards > 0 ? plan->shards : 1;
}

/* Where the sequences of a step that begins at `first` end. */
static uint32_t step_end(const struct batch_plan *plan, uint32_t first)
{
    const uint32_t count = plan->corpus->sequence_count;
    const uint32_t wanted = plan->batch_sequences;
    if (wanted > 0)
        return wanted < count - first ? first + wanted : count;
    uint32_t end = first;
    for (uint32_t i = 0; i < plan->accumulate && end < count; i++)
        end += micro_batch_at(plan, end, count).sequence_count;
    return end;
}

/* Where shard number `shard` of the step first … end - 1 ends: a sequence belongs to the shard in
 * whose share of the tokens its middle lies. */
static uint32_t shard_end(const struct batch_plan *plan, uint32_t first, uint32_t end,
                          uint32_t shard)
{
    const size_t *starts = plan->corpus->starts;
    const size_t share = (starts[end] - starts[first]) * (shard + 1);
    uint32_t s = first;
    while (s < end &&
           (starts[s] + starts[s + 1] - 2 * starts[first]) * shard_count(plan) < 2 * share)
        s++;
    return s;
}

uint32_t batch_micro_max(const struct batch_plan *plan)
{
    const uint32_t count = plan->corpus->sequence_count;
    const uint32_t wanted = plan->batch_sequences ? plan->batch_sequences : plan->accumulate;
    const uint32_t cuts = shard_count(plan) - 1; /* each may part a micro-batch in two */
    /* Each holds a sequence at least. */
    return wanted < count && cuts < count - wanted ? wanted + cuts : count;
}

uint32_t batch_step_shards(const struct batch_plan *plan, struct data_cursor *cursor,
                           struct micro_batch *out, uint32_t *ends)
{
    ASSERT(plan->accumulate > 0);
    ASSERT(cursor->sequence < plan->corpus->sequence_count);
    const uint32_t first = cursor->sequence, end = step_end(plan, first);
    uint32_t count = 0;
    for (uint32_t shard = 0; shard < shard_count(plan); shard++) {
        const uint32_t upto = shard_end(plan, first, end, shard);
        while (cursor->sequence < upto) {
            out[count] = micro_batch_at(plan, cursor->sequence, upto);
            cursor->sequence += out[count].sequence_count;
            count++;
        }
        ends[shard] = count;
    }
    ASSERT(cursor->sequence == end);
    if (cursor->sequence == plan->corpus->sequence_count) {
        cursor->sequence = 0;
        cursor->epoch++;
    }
    return count;
}

uint32_t batch_step(const struct batch_plan *plan, struct data_cursor *cursor,
                    struct micro_batch *out)
{
    uint32_t end;
    ASSERT(shard_count(plan) == 1);
    return batch_step_shards(plan, cursor, out, &end);
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
    for (uint32_t s = first_sequence; s < plan->corpus->sequence_count;) {
        const uint32_t first = s, end = step_end(plan, first);
        for (uint32_t shard = 0; shard < shard_count(plan); shard++) {
            const uint32_t upto = shard_end(plan, first, end, shard);
            while (s < upto) {
                struct micro_batch batch = micro_batch_at(plan, s, upto);
                if (batch.sequence_count > largest.sequence_count)
                    largest.sequence_count = batch.sequence_count;
                if (batch.token_count > largest.token_count)
                    largest.token_count = batch.token_count;
                if (batch.loss_token_count > largest.loss_token_count)
                    largest.loss_token_count = batch.loss_token_count;
                s += batch.sequence_count;
            }
        }
    }
    return largest;
}
