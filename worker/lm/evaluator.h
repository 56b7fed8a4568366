/* Scoring a corpus by teacher forcing: one record per (sequence, example) that has a loss token
 * (docs/data.md sections 1 and 4). Records have the same bits whatever the batch size and the
 * number of threads, so an evaluation can be cut anywhere and continued. */
#ifndef TRIAD_EVALUATOR_H
#define TRIAD_EVALUATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "corpus.h"
#include "err.h"
#include "model.h"
#include "records.h"

struct evaluate_options {
    size_t batch_tokens;     /* sequences are batched up to about this many tokens */
    uint32_t first_sequence; /* where to begin: 0, or where an earlier attempt got to */
};

/* Called on the caller's thread; each may be NULL. */
struct evaluate_hooks {
    void *ctx;
    /* The records of one batch of whole sequences, ordered by sequence and position. Everything
     * before `next_sequence` is now delivered. A failure ends the evaluation with that error. */
    enum err_code (*on_records)(void *ctx, const struct record *records, uint32_t count,
                                uint32_t next_sequence, struct err *err);
    bool (*should_stop)(void *ctx);
};

/* Score `corpus` from options->first_sequence on. ERR_CANCELLED when should_stop() said so between
 * two batches, ERR_LIMIT when the memory is not there, ERR_INVALID when ids lie outside the
 * vocabulary or an item has more than 65,535 tokens. A loss that is not finite is data. */
NODISCARD enum err_code evaluator_run(const struct model *model, const struct corpus *corpus,
                                      const struct evaluate_options *options,
                                      const struct evaluate_hooks *hooks, struct err *err);

/* Records that a corpus gives in all. */
uint64_t evaluator_record_count(const struct corpus *corpus);

/* Bytes that scoring takes at its peak, weights included. */
size_t evaluator_memory_bytes(const struct model_config *config, size_t batch_tokens,
                              size_t sequence_tokens);

#endif
