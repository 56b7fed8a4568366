/* Many continuations of one prompt: the prompt is computed once, and everything that follows it is
 * packed into few large passes. Two uses: scoring given candidates (answers of a multiple choice),
 * and sampling many texts.
 *
 *     branch_new(model, &capacity, &branch, err);
 *     branch_prompt(branch, ids, count, err);                      per prompt
 *     branch_score(branch, candidates, candidate_count, sums, scores, err);
 *     branch_sample(branch, &sampling, text_count, texts, err);    any number of either
 *     branch_free(branch);
 *
 * What a candidate or a text gives depends on prompt, candidate (or seed and index) alone: not on
 * its company, its place, or the number of threads. */
#ifndef TRIAD_BRANCH_H
#define TRIAD_BRANCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "model.h"
#include "sample_draw.h"

struct branch;

struct branch_capacity {
    size_t prompt_tokens;       /* longest prompt */
    size_t continuation_tokens; /* longest candidate or sampled text */
    /* Rows (tokens) computed in one pass; more are faster and take more memory. 0: 512, or as many
     * as the longest prompt or continuation needs. */
    size_t rows;
    /* Texts sampled side by side, whose keys and values are kept; 0: 64. Not needed for scoring. */
    size_t texts;
};

/* ERR_INVALID when prompt and continuation together pass the model's context, ERR_LIMIT when the
 * memory is not there. `model` is borrowed and must outlive the branch; free with branch_free(),
 * which accepts NULL. Sized for kernel_threads() threads: set their number before. */
NODISCARD enum err_code branch_new(const struct model *model,
                                   const struct branch_capacity *capacity,
                                   struct branch **branch_out, struct err *err);
void branch_free(struct branch *branch);
/* Bytes that branch_new() takes (and the first branch_sample(), when `sampling`). */
size_t branch_bytes(const struct model_config *config, const struct branch_capacity *capacity,
                    bool sampling);

/* Read a prompt of at least one token (its bos included, when the model wants one) in place of the
 * one before. ERR_LIMIT when it is longer than the capacity, ERR_INVALID for a foreign id. */
NODISCARD enum err_code branch_prompt(struct branch *branch, const int32_t *ids, size_t count,
                                      struct err *err);
/* Logits of the token after the prompt, `vocabulary` values; borrowed until the next prompt. */
const float *branch_logits(const struct branch *branch);

/* One continuation to score, with or without a terminator, as the caller likes; at least one
 * token. Borrowed during the call. */
struct branch_candidate {
    const int32_t *ids;
    size_t count;
};

/* A candidate's tokens together. */
struct branch_sum {
    double nats;    /* -ln p(candidate | prompt) */
    bool first_hit; /* its first token was the most probable one */
    bool hit;       /* all of them were */
};

/* Score candidates after the current prompt: `sums` one entry per candidate, `scores` (may be NULL)
 * one per token, candidate after candidate. The numbers are those of model_forward() over prompt +
 * candidate. */
NODISCARD enum err_code branch_score(struct branch *branch,
                                     const struct branch_candidate *candidates, size_t count,
                                     struct branch_sum *sums, struct token_score *scores,
                                     struct err *err);

/* How to sample. */
struct branch_sampling {
    /* Text i draws from its own stream, a function of draw.seed and first_index + i alone, so a
     * long list can be cut anywhere. */
    struct sample_options draw;
    uint64_t first_index;
    size_t max_tokens;       /* at least 1, at most the capacity's continuation_tokens */
    const int32_t *stop_ids; /* a text ends with (and holds) the first of these that it draws */
    size_t stop_count;
    /* May be NULL: looks at text `index` after every token that is no stop id; true ends it there
     * (a stop string, a newline). Called on the caller's thread, texts in rising order within a
     * pass. */
    bool (*should_stop)(void *ctx, size_t index, const int32_t *ids, size_t count);
    void *ctx;
};

/* A sampled text. */
struct branch_text {
    int32_t *ids; /* room for max_tokens, the caller's */
    size_t count;
    bool stopped; /* by a stop id or should_stop(); false: max_tokens reached */
    double nats;  /* -ln p(text | prompt) under the model itself: at temperature 1, nothing cut */
};

/* Sample texts after the current prompt. ERR_INVALID for options outside their range. */
NODISCARD enum err_code branch_sample(struct branch *branch, const struct branch_sampling *sampling,
                                      size_t count, struct branch_text *texts, struct err *err);

#endif
