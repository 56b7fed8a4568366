#include "score_tokens.h"

#include <stdlib.h>
#include <string.h>

enum err_code score_tokens(const struct model *model, const int32_t *ids, size_t count,
                           double *logprob, bool *hit, struct err *err)
{
    const struct model_config *m = model_shape(model);
    if (count == 0 || count > (size_t)m->context + 1)
        return err_set(err, ERR_LIMIT, "score: %zu tokens do not fit a context of %d", count,
                       m->context);
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= m->vocabulary)
            return err_set(err, ERR_INVALID, "score: token id %d is outside the vocabulary of %d",
                           ids[i], m->vocabulary);
    }
    struct model_run *run = NULL;
    struct model_capacity capacity = {1, count, count, count};
    uint8_t *losses = malloc(count);
    struct token_score *scores = calloc(count, sizeof *scores);
    enum err_code rc = ERR_OK;
    if (!losses || !scores)
        rc = err_set(err, ERR_LIMIT, "score: no memory for %zu tokens", count);
    else
        rc = model_run_new(model, MODEL_SCORE, &capacity, &run, err);
    if (rc != ERR_OK)
        goto done;
    memset(losses, 1, count);
    struct model_sequence sequence = {.ids = ids, .losses = losses, .count = count};
    model_forward(run, &sequence, 1, scores);
    for (size_t i = 0; i + 1 < count; i++) {
        logprob[i] = -scores[i].nats;
        if (hit)
            hit[i] = scores[i].hit;
    }
done:
    model_run_free(run);
    free(scores);
    free(losses);
    return rc;
}
