/* The inside of exec_train: what its two files share. */
#ifndef TRIAD_EXEC_TRAIN_IMPL_H
#define TRIAD_EXEC_TRAIN_IMPL_H

#include "corpus.h"
#include "exec_kinds.h"
#include "trainer.h"

struct training {
    struct exec_context *context;
    struct tokenizer *tokenizer;
    struct model *model;
    const char *like; /* the folder of the model it started from; NULL for a fresh one */
    bool has_adapter; /* LoRA: `adapter` is trained, and the model's weights stay */
    struct adapter adapter;
    struct corpus corpus;
    struct trainer *trainer;
    int64_t checkpoint_step; /* of the last one that was kept; 0: none */
    struct err sink_err;     /* the hook for steps cannot fail; should_stop sees this */
    enum err_code sink_code;
};

/* Fill tokenizer, model, adapter and corpus, from the beginning or from a resume folder. */
NODISCARD enum err_code training_begin(struct training *t, struct err *err);

/* Give what training_begin() has filled in on rank 0 to the other ranks of the group, as far as
 * they need it. */
NODISCARD enum err_code training_share(struct training *t, struct err *err);

#endif
