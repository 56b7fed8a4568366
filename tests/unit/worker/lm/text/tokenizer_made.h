/* Tokenizers that the tests make or find in the tree. Whatever fails ends the test. */
#ifndef TRIAD_TOKENIZER_MADE_H
#define TRIAD_TOKENIZER_MADE_H

#include "err.h"
#include "tokenizer.h"

#define GOLDEN_FOLDER TRIAD_SOURCE_DIR "/tests/golden/"
#define TRAINED_FILE  GOLDEN_FOLDER "tokenizer/license-1024.json"

void made_must(enum err_code rc, const struct err *err);
/* Trained on texts; and on the licence of this repository, a text that everybody has. */
struct tokenizer *made_from(const char *const *texts, size_t count, int32_t vocabulary);
struct tokenizer *made_from_license(void);
/* A whole file, to be freed. */
char *made_read(const char *path, size_t *len);
struct token_list made_encode(struct tokenizer *t, struct str text);

#endif
