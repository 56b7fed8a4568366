/* Tables of large tokenizers in files, so that a tokenizer.json of tens of megabytes is read once
 * per machine and mapped from then on.
 *
 * The folder is $XDG_CACHE_HOME/triad/tokenizers, or ~/.cache/triad/tokenizers. A file is named
 * after the digest of the tokenizer.json and after the version of the tables. It is only ever a
 * shortcut: one that is missing, damaged, of another machine or of another digest is as good as
 * none, and a folder that cannot be written costs time, nothing else. The folder keeps the
 * TOKENIZER_CACHE_FILES_MAX files that were used last. */
#ifndef TRIAD_TOKENIZER_CACHE_H
#define TRIAD_TOKENIZER_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "hash.h"

struct tokenizer;

enum {
    /* Smaller ones are read in no time, and would litter the folder. */
    TOKENIZER_CACHE_BYTES_MIN = 1 << 20,
    /* Of 12 to 25 MB each. */
    TOKENIZER_CACHE_FILES_MAX = 16,
};

/* The file for a digest; false when the environment names no folder. */
bool tokenizer_cache_path(const struct digest *source, char *path, size_t size);
/* Open the file of a digest. ERR_NOT_FOUND, ERR_VERSION or ERR_CORRUPT when it is of no use. */
NODISCARD enum err_code tokenizer_cache_open(const struct digest *source,
                                             struct tokenizer **tokenizer_out, struct err *err);
/* Write the tables of a tokenizer that was just read from a file. */
NODISCARD enum err_code tokenizer_cache_write(const struct tokenizer *tokenizer, struct err *err);

#endif
