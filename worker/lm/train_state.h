/* What a training run needs, beside the model's weights, to continue bit for bit: moments, step and
 * place in the data. Stored as optimizer.safetensors (tensors "first.NAME" and "second.NAME", f32)
 * and trainer_state.json. */
#ifndef TRIAD_TRAIN_STATE_H
#define TRIAD_TRAIN_STATE_H

#include <stdint.h>

#include "batch.h"
#include "err.h"
#include "hash.h"
#include "loss_watch.h"
#include "optimizer.h"
#include "str.h"

struct train_state {
    int64_t step; /* completed */
    struct data_cursor cursor;
    struct loss_watch watch;
    struct digest fingerprint; /* of data and options: a state fits no other run */
};

/* Append the trainer_state.json. */
void train_state_print(const struct train_state *state, struct strbuf *out);
/* Read one; `path` is for messages. `state->fingerprint` says what is expected. ERR_CORRUPT,
 * ERR_INVALID or ERR_VERSION when the text is not such a state of a corpus of `sequence_count`,
 * ERR_CONFLICT when it is one of another run. */
NODISCARD enum err_code train_state_parse(struct train_state *state, const char *text, size_t len,
                                          const char *path, uint32_t sequence_count,
                                          struct err *err);

/* Write both files. */
NODISCARD enum err_code train_state_save(const struct train_state *state,
                                         const struct optimizer *optimizer, const char *folder,
                                         struct err *err);
/* Read both, as train_state_parse() does. A failure may leave the moments overwritten, the state is
 * untouched. */
NODISCARD enum err_code train_state_load(struct train_state *state, struct optimizer *optimizer,
                                         const char *folder, uint32_t sequence_count,
                                         struct err *err);

#endif
