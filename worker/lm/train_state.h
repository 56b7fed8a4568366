/* What a training run needs, beside the model's weights, to continue bit for bit: moments, step and
 * place in the data. Stored as optimizer.safetensors (tensors "first.NAME" and "second.NAME", f32)
 * and trainer_state.json. */
#ifndef TRIAD_TRAIN_STATE_H
#define TRIAD_TRAIN_STATE_H

#include <stdint.h>

#include "batch.h"
#include "err.h"
#include "hash.h"
#include "optimizer.h"

struct train_state {
    int64_t step; /* completed */
    struct data_cursor cursor;
    struct digest fingerprint; /* of data and options: a state fits no other run */
};

NODISCARD enum err_code train_state_save(const struct train_state *state,
                                         const struct optimizer *optimizer, const char *folder,
                                         struct err *err);
/* `state->fingerprint` says what is expected; ERR_CONFLICT when the saved one differs, ERR_CORRUPT
 * when a file is damaged. A failure may leave the moments overwritten, the state is untouched. */
NODISCARD enum err_code train_state_load(struct train_state *state, struct optimizer *optimizer,
                                         const char *folder, uint32_t sequence_count,
                                         struct err *err);

#endif
