/* How probable a model finds a given text, token by token. */
#ifndef TRIAD_SCORE_TOKENS_H
#define TRIAD_SCORE_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "model.h"

/* ln p(ids[i] | ids[0 … i - 1]) into logprob[i - 1] for i = 1 … count - 1, and whether it was the
 * most probable token into hit[i - 1] (may be NULL). */
NODISCARD enum err_code score_tokens(const struct model *model, const int32_t *ids, size_t count,
                                     double *logprob, bool *hit, struct err *err);

#endif
