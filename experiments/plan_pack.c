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
                                     larger(p->largest.sequence_tokens, tokens)};
}

int64_t plan_packer_steps(const struct plan_packer *p)
{
    if (p->batch_sequences > 0)
        return (p->sequences + p->batch_sequences - 1) / p->batch_sequences;
    return (p->batches + p->accumulate - 1) / p->accumulate;
}

bool plan_packer_has_steps(const struct plan_packer *p, int64_t steps, int64_t tokens)
{
    if (p->batch_sequences > 0)
        return p->sequences == steps * p->batch_sequences;
    return p->batches == steps * p->accumulate && is_full(p, tokens);
}
