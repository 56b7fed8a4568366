/* A model in a Hugging Face folder: config.json, model.safetensors (or shards with an index),
 * tokenizer.json, tokenizer_config.json, generation_config.json. */
#ifndef TRIAD_CHECKPOINT_H
#define TRIAD_CHECKPOINT_H

#include <stddef.h>

#include "err.h"
#include "model_config.h"
#include "params.h"
#include "safetensors.h"
#include "tensor_spec.h"

struct checkpoint;
struct tokenizer;

/* Read the configuration, map the weights, and check that every tensor of the model is there with
 * its shape and no other one is (ERR_INVALID names tensor and numbers). Weights are read later. The
 * caller frees with checkpoint_close(), which accepts NULL. */
NODISCARD enum err_code checkpoint_open(const char *folder, struct checkpoint **checkpoint_out,
                                        struct err *err);
void checkpoint_close(struct checkpoint *checkpoint);

const struct model_config *checkpoint_config(const struct checkpoint *checkpoint);

/* Is every number of the model one? ERR_INVALID names the tensor and the place of the first that is
 * infinite or NaN, ERR_INVALID also for a type that holds no numbers of ours. Reads all weights
 * once, and lets their pages go. */
NODISCARD enum err_code checkpoint_check_numbers(const struct checkpoint *checkpoint,
                                                 struct err *err);
/* What all tensors are stored as, or TENSOR_OTHER when they differ. */
enum tensor_dtype checkpoint_dtype(const struct checkpoint *checkpoint);
/* A tensor as it is stored; it must be one of the model's. Valid until the checkpoint is closed. */
const struct tensor_view *checkpoint_tensor(const struct checkpoint *checkpoint,
                                            const struct tensor_spec *spec);
/* Bytes of the model's tensors as they are stored. */
size_t checkpoint_bytes(const struct checkpoint *checkpoint);

/* Write a model into a folder, which is made if need be. The weights come last, and each file
 * durably: a folder with weights is complete. `specs` has all tensors of `config` in order;
 * ERR_INVALID when the tokenizer has more entries than the model. */
NODISCARD enum err_code checkpoint_write(const char *folder, const struct model_config *config,
                                         const struct tensor_spec *specs, size_t count,
                                         const struct tokenizer *tokenizer, enum tensor_dtype dtype,
                                         struct err *err);
/* The same for a model made from that in `like`: config.json keeps all its keys, and the other
 * small files (checkpoint_files.h) are carried through unchanged; `tokenizer`, when it is not NULL,
 * replaces that of `like`. */
NODISCARD enum err_code checkpoint_write_like(const char *folder, const char *like,
                                              const struct model_config *config,
                                              const struct tensor_spec *specs, size_t count,
                                              const struct tokenizer *tokenizer,
                                              enum tensor_dtype dtype, struct err *err);

/* Write the model of `from` again in another type (TENSOR_F32 or TENSOR_BF16), with all that is
 * carried through (checkpoint_write_like()), in little memory. Of a multimodal model the text half
 * is written. ERR_INVALID when a number is infinite or NaN. */
NODISCARD enum err_code checkpoint_convert(const char *from, const char *folder,
                                           enum tensor_dtype dtype, struct err *err);

/* A whole model in memory: for converters and for work on tokens. Free with
 * checkpoint_weights_release(), which also accepts a zeroed struct. */
struct checkpoint_weights {
    struct model_config config;
    struct params params;
};

/* ERR_INVALID, too, when a number is infinite or NaN. */
NODISCARD enum err_code checkpoint_weights_load(const char *folder,
                                                struct checkpoint_weights *weights_out,
                                                struct err *err);
void checkpoint_weights_release(struct checkpoint_weights *weights);

#endif
