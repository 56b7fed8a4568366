/* The reader of tokenizer.json, without files and caches (tokenizer_load.c has those). */
#ifndef TRIAD_TOKENIZER_JSON_H
#define TRIAD_TOKENIZER_JSON_H

#include "err.h"
#include "hash.h"
#include "str.h"

struct tokenizer;

/* As tokenizer_parse(); `source` is the text's digest, or NULL when nobody will ask. */
NODISCARD enum err_code tokenizer_read_json(struct str text, const char *path,
                                            const struct digest *source,
                                            struct tokenizer **tokenizer_out, struct err *err);

#endif
