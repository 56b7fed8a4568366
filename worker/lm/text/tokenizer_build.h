/* Putting a tokenizer together entry by entry: for the reader of files, the trainer and the
 * converters alike, so that all obey the same rules. */
#ifndef TRIAD_TOKENIZER_BUILD_H
#define TRIAD_TOKENIZER_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "hash.h"
#include "intern.h"
#include "str.h"
#include "text_split.h"
#include "tokenizer_image.h"

struct tokenizer;

enum {
    /* Far above the largest vocabulary in use (262,145); one wild id in a file costs at most this
     * many entries of 24 bytes. */
    TOKENIZER_VOCABULARY_MAX = 1 << 21,
};

struct build_token {
    size_t text_offset; /* its bytes in texts */
    uint32_t text_len;
    uint32_t name; /* key number in names */
    uint8_t flags; /* enum token_flag; 0: no entry has this id yet */
};

struct tokenizer_builder {
    uint32_t flags; /* enum image_flag */
    enum split_pattern pattern;
    struct build_token *tokens;
    int32_t count;
    int32_t cap;
    struct intern names; /* spelling in the file → key number */
    int32_t *name_ids;   /* key number → token id */
    struct strbuf texts;
    struct image_pair *merges; /* by rank */
    uint32_t merge_count;
    uint32_t merge_cap;
    struct image_added *added;
    uint32_t added_count;
    uint32_t added_cap;
    struct strbuf contents;
};

/* Begin with nothing; free with tokenizer_builder_release(). */
void tokenizer_builder_begin(struct tokenizer_builder *b, uint32_t flags,
                             enum split_pattern pattern);
void tokenizer_builder_release(struct tokenizer_builder *b);

/* Enter a token of model.vocab under its spelling in the file. ERR_CORRUPT when id or spelling are
 * taken, or the spelling is none of this kind. */
NODISCARD enum err_code tokenizer_enter(struct tokenizer_builder *b, struct str name, int32_t id,
                                        struct err *err);
/* Enter a token of added_tokens; one of model.vocab with the same id and spelling becomes added. */
NODISCARD enum err_code tokenizer_enter_added(struct tokenizer_builder *b, struct str content,
                                              int32_t id, bool is_special, struct err *err);
/* Enter the next merge by the spellings of its two sides. */
NODISCARD enum err_code tokenizer_enter_merge(struct tokenizer_builder *b, struct str left,
                                              struct str right, struct err *err);
/* The same by ids; `result` has the bytes of both. */
NODISCARD enum err_code tokenizer_enter_pair(struct tokenizer_builder *b, int32_t left,
                                             int32_t right, int32_t result, struct err *err);
/* The token with this spelling, or TOKEN_NONE. */
int32_t tokenizer_builder_find(const struct tokenizer_builder *b, struct str name);

/* Check that ids have no gaps and every byte has its token, and make the tokenizer. `parts` are the
 * texts of PARTS; NULL: those that tokenizer_layout.h has for the flags. `source` is the digest of
 * the file, or none. */
NODISCARD enum err_code tokenizer_builder_finish(struct tokenizer_builder *b,
                                                 const char *const parts[PART_COUNT],
                                                 const struct digest *source,
                                                 struct tokenizer **tokenizer_out, struct err *err);

#endif
