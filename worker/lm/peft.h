/* Adapters in files, as Hugging Face's PEFT has them: adapter_config.json and
 * adapter_model.safetensors with the tensors "base_model.model.NAME.lora_A.weight" ([rank][in]) and
 * "….lora_B.weight" ([out][rank]), and embedding or head whole when they were trained
 * ("modules_to_save"). */
#ifndef TRIAD_PEFT_H
#define TRIAD_PEFT_H

#include <stddef.h>

#include "adapter.h"
#include "checkpoint.h"
#include "err.h"
#include "str.h"

/* What an adapter_config.json says, as far as it changes the computation. */
struct peft_config {
    int rank;
    double alpha, dropout;
    bool rank_stabilized; /* scale is alpha / sqrt(rank): Kalajdzievski 2023 */
};

/* Append the adapter_config.json of an adapter. `base` names the model it belongs to (a folder or a
 * name on the hub), NULL when nobody knows. Equal adapters give equal bytes. */
void peft_config_print(const struct adapter_config *config, bool head_tied, const char *base,
                       struct strbuf *out);
/* Read one; `path` is for messages. ERR_INVALID names the key that asks for something we do not
 * compute (another peft_type, DoRA, patterns of ranks, biases, …). */
NODISCARD enum err_code peft_config_parse(struct peft_config *out, const char *text, size_t len,
                                          const char *path, struct err *err);

/* Write an adapter into a folder, which is made if need be: adapter_model.safetensors last. With a
 * `prefix` (such as "lora_") the two files are called prefix + name: beside a merged model they
 * must not look like an adapter to be loaded on top of it. When the head is tied, a trained
 * embedding is written as embedding and as head, so that PEFT ends up with the same model. */
NODISCARD enum err_code peft_write(const char *folder, const char *prefix,
                                   const struct adapter *adapter, bool head_tied, const char *base,
                                   struct err *err);
/* Read back what peft_write() wrote for an adapter of the same configuration, into its matrices and
 * the model's embedding and head. ERR_CORRUPT when something is missing or has another shape. */
NODISCARD enum err_code peft_read(const char *folder, struct adapter *adapter, struct err *err);

/* Merge a folder made by anybody into a model's weights: W += scale * B A. ERR_INVALID for tensors
 * or settings that we cannot merge exactly; then `weights` may be partly changed. Appends what was
 * merged to `done`, one line each. */
NODISCARD enum err_code peft_merge(const char *folder, struct checkpoint_weights *weights,
                                   struct strbuf *done, struct err *err);

#endif
