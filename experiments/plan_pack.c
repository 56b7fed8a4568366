#include "plan_pack.h"

/* Would the next sequence open another micro-batch? */
static bool is_full(const struct plan_packer *p, int64_t tokens)
{
    return p->in_batch > 0 && p->in_batch + tokens > p->batch_tokens;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void plan_packer_add(struct plan_packer *p, int64_t tokens)
{
    if (p->in_batch == 0 || is_full(p, tokens)) {
        p->batches++;
        p->in_batch = p->in_batch_sequences = 0;
    }
    p->in_batch += tokens;
    p->in_batch_sequences++;
    p->sequences++;
    p->largest = (struct plan_batch){larger(p->largest.sequences, p->in_batch_sequences),
                                     larger(p->largest.tokens, p->in_batch),
                                     larger(p->largest.sequence_tokens, tokens), 1};
}

int64_t plan_packer_steps(const struct plan_packer *p)
{
    if (p->batch_sequences > 0)
        return (p->sequences + p->batch_sequences - 1) / p->batch_sequences;
    return (p->batches + p->accumulate - 1) / p->accumulate;
}

/* A shard ends less than half a sequence behind its share of the step's tokens, and begins less
 * than half a one before. */
struct plan_batch plan_packer_largest(const struct plan_packer *p)
{
    struct plan_batch largest = p->largest;
    if (p->shards <= 1)
        return largest;
    largest.shards = p->shards;
    const int64_t step = p->batch_sequences > 0 ? p->batch_sequences * largest.sequence_tokens
                                                : p->accumulate * largest.tokens;
    const int64_t share = step / p->shards + largest.sequence_tokens;
    const int64_t most = larger(p->batch_tokens, largest.sequence_tokens);
    largest.tokens = share < most ? share : most;
    return largest;
}

bool plan_packer_has_steps(const struct plan_packer *p, int64_t steps, int64_t tokens)
{
    if (p->batch_sequences > 0)
        return p->sequences == steps * p->batch_sequences;
    return p->batches == steps * p->accumulate && is_full(p, tokens);
}
