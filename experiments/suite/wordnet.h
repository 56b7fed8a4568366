/* English text from WordNet's database files (Debian package wordnet-base): the words of each
 * synset with their definition and examples. Format: wndb(5WN); a data line is
 *
 *   offset lex_filenum ss_type w_cnt word lex_id [word lex_id …] p_cnt [ptr …] | gloss
 *
 * after a licence whose lines begin with two spaces. */
#ifndef TRIAD_WORDNET_H
#define TRIAD_WORDNET_H

#include <stddef.h>

#include "arena.h"
#include "err.h"

#define WORDNET_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* A growing list of texts in an arena. */
struct text_list {
    const char **items;
    size_t count, cap;
};

/* Append one text per synset, "word, word: gloss", to `out`; lines that are no data lines are
 * passed over. ERR_INVALID when there is none at all: not a WordNet file. */
NODISCARD enum err_code wordnet_parse(const char *bytes, size_t len, const char *name,
                                      struct arena *arena, struct text_list *out, struct err *err);

#endif
