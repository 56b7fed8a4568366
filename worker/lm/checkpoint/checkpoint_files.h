/* The files of a checkpoint's folder beside its weights: which there are, and how they are carried
 * through unchanged into a folder that is made from it. */
#ifndef TRIAD_CHECKPOINT_FILES_H
#define TRIAD_CHECKPOINT_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "err.h"
#include "model_config.h"
#include "safetensors.h"

/* Names of all files that belong to the model in a Hugging Face folder, sorted bytewise:
 * model.safetensors, or the index and the shards it names; config.json; tokenizer, generation and
 * template files; licence and read-me texts. Weights in other formats, and other weights that
 * happen to lie there, do not belong. ERR_NOT_FOUND when there are no weights or a shard is
 * missing, ERR_CORRUPT when the index cannot be read. Texts belong to `arena`. */
NODISCARD enum err_code checkpoint_files(const char *folder, struct arena *arena,
                                         const char ***names_out, size_t *count_out,
                                         struct err *err);

/* Give `to` (a folder) the small files of `from`, but for config.json and those whose names are in
 * `skipped` (ended by NULL). */
NODISCARD enum err_code checkpoint_carry(const char *from, const char *to,
                                         const char *const *skipped, struct err *err);
/* Give `to` all files of the model in `from`, weights included: as second names of the same files
 * where the file system allows, else as copies. */
NODISCARD enum err_code checkpoint_link(const char *from, const char *to, struct err *err);
/* The same as files of its own, which take no room where the file system has reflinks. */
NODISCARD enum err_code checkpoint_copy(const char *from, const char *to, struct err *err);

/* Append the config.json of `folder` as it must read beside weights in `dtype` of `config`: the
 * same bytes when nothing differs; otherwise with type and vocabulary changed and every other key
 * kept. Of a multimodal model, whose text half alone is written, the text half. */
NODISCARD enum err_code checkpoint_config_like(const char *folder,
                                               const struct model_config *config,
                                               enum tensor_dtype dtype, struct strbuf *out,
                                               struct err *err);

#endif
