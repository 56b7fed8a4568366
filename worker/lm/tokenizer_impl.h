/* The inside of a tokenizer, shared by the files that build, read and write one. */
#ifndef TRIAD_TOKENIZER_IMPL_H
#define TRIAD_TOKENIZER_IMPL_H

#include "bpe.h"
#include "intern.h"
#include "text_split.h"
#include "tokenizer.h"

enum tokenizer_kind {
    TOKENIZER_BYTE_LEVEL,
    TOKENIZER_BYTE_FALLBACK,
};

enum {
    /* Far above the largest vocabulary in use (262,144); one wild id in a file costs at most
     * this many entries of 36 bytes. */
    TOKENIZER_VOCABULARY_MAX = 1 << 21,
};

enum token_class {
    TOKEN_ABSENT, /* no entry has this id yet: only while reading */
    TOKEN_PLAIN,
    TOKEN_BYTE,  /* <0x0A> of a byte-fallback vocabulary */
    TOKEN_ADDED, /* in added_tokens: never from plain text */
};

struct token {
    enum token_class class;
    bool in_model;      /* has an entry in model.vocab (an added token may have one too) */
    bool is_special;    /* for added tokens: the file's "special" */
    uint32_t name;      /* key number in names */
    size_t text_offset; /* its bytes in texts */
    uint32_t text_len;
};

enum { CACHE_SLOTS = 1 << 14, CACHE_WORD_BYTES = 22, CACHE_IDS = 8 };

/* A word seen before and its ids. Direct mapped: a new word simply replaces the old one. */
struct cache_slot {
    uint8_t word_len; /* 0: empty */
    uint8_t ids_count;
    char word[CACHE_WORD_BYTES];
    int32_t ids[CACHE_IDS];
};

struct tokenizer {
    enum tokenizer_kind kind;
    enum split_pattern pattern; /* byte level only */
    struct text_split *split;   /* byte level only */
    struct token *tokens;
    int32_t count;
    int32_t cap;
    struct intern names; /* spelling in the file → key number */
    int32_t *name_ids;   /* key number → token id */
    struct strbuf texts; /* the bytes of all tokens */
    struct bpe bpe;
    int32_t byte_ids[256]; /* the token of each single byte */
    int32_t bos;
    int32_t eos;
    struct cache_slot *cache; /* byte level only */
    struct strbuf normalized; /* work space of byte fallback */
};

/* An empty tokenizer of a kind. */
NODISCARD enum err_code tokenizer_new(enum tokenizer_kind kind, enum split_pattern pattern,
                                      struct tokenizer **tokenizer_out, struct err *err);
/* Enter a token of model.vocab under its spelling in the file. ERR_CORRUPT when id or spelling are
 * taken, or the spelling is none of this kind. */
NODISCARD enum err_code tokenizer_enter(struct tokenizer *t, struct str name, int32_t id,
                                        struct err *err);
/* Enter a token of added_tokens; one of model.vocab with the same id and spelling becomes added. */
NODISCARD enum err_code tokenizer_enter_added(struct tokenizer *t, struct str name, int32_t id,
                                              bool is_special, struct err *err);
/* Enter the next merge by the spellings of its two sides. */
NODISCARD enum err_code tokenizer_enter_merge(struct tokenizer *t, struct str left,
                                              struct str right, struct err *err);
/* Check that ids have no gaps and that every byte has its token, and find bos and eos by their
 * customary names. */
NODISCARD enum err_code tokenizer_finish(struct tokenizer *t, struct err *err);
/* The token with this spelling, or TOKEN_NONE. */
int32_t tokenizer_find(const struct tokenizer *t, struct str name);

#endif
