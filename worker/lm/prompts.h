/* Evaluations that ask what follows a prompt: scoring every candidate of an item, or drawing texts.
 * Data sets of both are read as they are (docs/data.md section 1); a prompt is computed once for
 * all that follows it (branch.h). Records have the same bits wherever an evaluation is cut. */
#ifndef TRIAD_PROMPTS_H
#define TRIAD_PROMPTS_H

#include <stddef.h>
#include <stdint.h>

#include "dataset.h"
#include "err.h"
#include "evaluator.h"
#include "model.h"
#include "tokenizer.h"

/* Tokens that sequences first … end - 1 take: of the longest prompt, of the longest continuation,
 * and all of them together. */
struct prompts_size {
    size_t prompt_tokens, continuation_tokens, tokens;
};

/* Measure, and check that everything fits `context` and is known to the tokenizer. ERR_INVALID
 * names the sequence. */
NODISCARD enum err_code prompts_measure(const struct dataset *dataset, struct tokenizer *tokenizer,
                                        uint32_t first, uint32_t end, size_t context,
                                        struct prompts_size *out, struct err *err);
/* Records that they give: one per item, or one per draw. */
uint64_t prompts_record_count(const struct dataset *dataset, uint32_t first, uint32_t end);

/* Evaluate sequences first … end - 1, which prompts_measure() has measured; the kind of the data
 * set says how. Hooks as in evaluator.h: records of choices hold nats by loss and the target of
 * every candidate, those of samples the text up to where it stops (invalid UTF-8 becomes U+FFFD)
 * and -ln p of its tokens under the model itself. ERR_CANCELLED between two sequences. */
NODISCARD enum err_code prompts_run(const struct model *model, struct tokenizer *tokenizer,
                                    const struct dataset *dataset, uint32_t first, uint32_t end,
                                    const struct prompts_size *size,
                                    const struct evaluate_hooks *hooks, struct err *err);

/* The bytes that prompts_run() takes beside the weights. */
size_t prompts_memory_bytes(const struct model_config *config, enum record_kind kind,
                            const struct prompts_size *size);

#endif
