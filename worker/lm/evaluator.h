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

/* Tokens less probable than this are no calibration entries (docs/science.md section 4). */
#define EVALUATE_ENTRY_FLOOR 0.01

struct evaluate_options {
    size_t batch_tokens;     /* sequences are batched up to about this many tokens */
    uint32_t first_sequence; /* where to begin */
    uint32_t end_sequence;   /* where to end: the number after the last one; 0: all */
    bool calibration;        /* give every record the probable tokens at its places */
    const uint8_t *allowed;  /* restrict answers: model.h; NULL: all tokens are allowed */
};

/* Called on the caller's thread; each may be NULL. */
struct evaluate_hooks {
    void *ctx;
    /* The records of one batch of whole sequences, ordered by sequence and position; borrowed with
     * their entries during the call. Everything before `next_sequence` is now delivered. A failure
     * ends the evaluation with that error. */
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

/* Records that sequences first … end - 1 of a corpus give. */
uint64_t evaluator_record_count(const struct corpus *corpus, uint32_t first, uint32_t end);

/* Bytes that evaluator_run() takes at its peak, weights included. */
size_t evaluator_memory_bytes(const struct model_config *config, const struct corpus *corpus,
                              const struct evaluate_options *options);

#endif
