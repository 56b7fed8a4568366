/* What branch.c (prompts, candidates) and branch_sample.c (texts) share. */
#ifndef TRIAD_BRANCH_IMPL_H
#define TRIAD_BRANCH_IMPL_H

#include "branch.h"
#include "kernels.h"
#include "model_space.h"

/* Keys and values: [layers][rows][kv_heads * head_dim], keys rotated. */
struct branch_cache {
    float *keys, *values;
    size_t rows;
};

struct branch {
    const struct model *model; /* borrowed */
    const struct kernel_ops *ops;
    struct space_shape shape;
    struct model_space space;
    void *memory;             /* what `space` points into */
    int *own_first, *own_len; /* [shape.rows], see struct kernel_branch */
    int *own_row;             /* [shape.rows] where a row's key goes in `texts`; -1: nowhere */
    struct branch_cache prompt;
    int prompt_max, continuation_max;
    int prompt_count;     /* 0: no prompt yet */
    float *prompt_logits; /* [vocabulary] */
    double prompt_lse;    /* their log-sum-exp */
    int32_t prompt_best;  /* the most probable token; -1 when the logits are not finite */
    /* sampling: allocated when first needed */
    int text_slots;
    struct branch_cache texts; /* slot after slot, continuation_max rows each */
};

/* How many rows the operations work on for `rows` of a pass: whole blocks where products need them.
 * (Attention always has whole blocks: what it then reads of padding rows, it drops.) */
int branch_used_rows(const struct branch *branch, int rows);
/* Rows of one pass: the caller has set ids, positions, own_first, own_len (and own_row, with
 * `cache`) of the first `rows`; the rest are filled up as padding. Keys and values come from the
 * rows of the pass themselves, or with `cache` from there, where those of the pass are added. The
 * residual stream after the last layer is in space.layers[0].out. */
void branch_pass(struct branch *branch, int rows, const struct branch_cache *cache);
/* Final norm of `rows` rows from `from` on (see branch_used_rows()) and their logits in
 * space.logits, where at most shape.piece_rows fit. */
void branch_logits_of(struct branch *branch, int from, int rows);

#endif
