/* What other programs must know of a model that was trained on turns: where to stop, and how a
 * conversation is written. */
#ifndef TRIAD_CHECKPOINT_TURNS_H
#define TRIAD_CHECKPOINT_TURNS_H

#include "err.h"
#include "tokenizer.h"

/* Into a checkpoint's folder: the token `end` joins `eos_token_id` of config.json and of
 * generation_config.json (which is made when it is not there), and `chat_template`, unless NULL,
 * becomes chat_template.jinja and, for programs older than that file, the member of
 * tokenizer_config.json. ERR_INVALID when the tokenizer has no such token; files change one after
 * another. */
NODISCARD enum err_code checkpoint_add_turns(const char *folder, const struct tokenizer *tokenizer,
                                             const char *end, const char *chat_template,
                                             struct err *err);

#endif
