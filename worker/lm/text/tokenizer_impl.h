/* The inside of a tokenizer, shared by the files that open, use and write one. */
#ifndef TRIAD_TOKENIZER_IMPL_H
#define TRIAD_TOKENIZER_IMPL_H

#include "added_tokens.h"
#include "bpe.h"
#include "text_map.h"
#include "text_normal.h"
#include "text_split.h"
#include "tokenizer.h"
#include "tokenizer_image.h"
#include "word_cache.h"

/* A token that was added after the image was made. */
struct extra_token {
    char *content;
};

struct tokenizer {
    struct tokenizer_image image;
    void *block;         /* the image's bytes, ours */
    size_t mapped_bytes; /* length of the map when they are one, 0 when they are malloc()ed */
    struct extra_token *extras; /* ids from image.header->token_count on */
    int32_t count;              /* of all tokens */
    struct added_tokens added;
    int32_t bos;
    int32_t eos;
    bool adds_bos;            /* the file's template puts bos in front of a text */
    struct text_split *split; /* byte level only */
    int32_t ascii_ids[128];   /* byte fallback: the token of each character, or of its byte */

    /* Work space: one user at a time. */
    struct bpe bpe;
    struct word_cache *cache;
    struct nfc_space nfc;
    struct text_map repaired;
    struct text_map normal;
    size_t replaced;
};

/* Make a tokenizer of an image; takes the block, also when it fails. */
NODISCARD enum err_code tokenizer_open_image(void *block, size_t mapped_bytes,
                                             const struct tokenizer_image *image,
                                             struct tokenizer **tokenizer_out, struct err *err);
bool tokenizer_is_fallback(const struct tokenizer *t);
/* Is an added token one that controls, which the text of a dataset never gives? */
bool token_flags_control(uint8_t flags);
uint8_t tokenizer_flags(const struct tokenizer *t, int32_t id);

#endif
