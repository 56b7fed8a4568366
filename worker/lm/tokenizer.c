/* Encoding and decoding. tokenizer_build.c puts a tokenizer together, tokenizer_json.c reads one,
 * tokenizer_print.c writes it. */
#include "tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "tokenizer_impl.h"
#include "utf8.h"

/* A space becomes three bytes, and positions in a word must fit 31 bits. */
enum { TEXT_BYTES_MAX = 1 << 29 };

/* U+2581, which stands for a space in SentencePiece vocabularies. */
static const char space_mark[] = "\xe2\x96\x81";

void token_list_release(struct token_list *list)
{
    free(list->ids);
    *list = (struct token_list){0};
}

void token_list_append(struct token_list *list, const int32_t *ids, size_t count)
{
    if (count == 0)
        return;
    if (list->count + count > list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 256;
        if (cap < list->count + count)
            cap = list->count + count;
        list->ids = realloc(list->ids, cap * sizeof *list->ids);
        ASSERT(list->ids != NULL);
        list->cap = cap;
    }
    memcpy(list->ids + list->count, ids, count * sizeof *ids);
    list->count += count;
}

static struct cache_slot *cache_slot_for(const struct tokenizer *t, struct str word)
{
    uint64_t h = word.len;
    for (size_t i = 0; i < word.len; i++)
        h = (h ^ (unsigned char)word.data[i]) * 0x100000001b3u; /* FNV-1a */
    return &t->cache[(h ^ h >> 29) & (CACHE_SLOTS - 1)];
}

/* The ids of one word of a byte-level tokenizer; borrowed until the next call. */
static size_t encode_word(struct tokenizer *t, struct str word, const int32_t **ids_out)
{
    bool fits = word.len <= CACHE_WORD_BYTES;
    struct cache_slot *slot = fits ? cache_slot_for(t, word) : NULL;
    if (fits && slot->word_len == word.len && memcmp(slot->word, word.data, word.len) == 0) {
        *ids_out = slot->ids;
        return slot->ids_count;
    }
    int32_t *symbols = bpe_symbols(&t->bpe, word.len);
    for (size_t i = 0; i < word.len; i++)
        symbols[i] = t->byte_ids[(unsigned char)word.data[i]];
    size_t count = bpe_merge_symbols(&t->bpe, word.len);
    if (fits && count <= CACHE_IDS) {
        slot->word_len = (uint8_t)word.len;
        slot->ids_count = (uint8_t)count;
        memcpy(slot->word, word.data, word.len);
        memcpy(slot->ids, symbols, count * sizeof *symbols);
    }
    *ids_out = symbols;
    return count;
}

/* `list` may be NULL: then ids are only counted. */
static enum err_code encode_byte_level(struct tokenizer *t, struct str text,
                                       struct token_list *list, size_t *count, struct err *err)
{
    text_split_begin(t->split, text);
    for (;;) {
        struct str word;
        enum err_code rc = text_split_next(t->split, &word, err);
        if (rc != ERR_OK || word.len == 0)
            return rc;
        const int32_t *ids;
        size_t word_count = encode_word(t, word, &ids);
        *count += word_count;
        if (list)
            token_list_append(list, ids, word_count);
    }
}

/* Characters become tokens of their own; what the vocabulary lacks becomes its bytes. */
static size_t fallback_symbols(struct tokenizer *t, struct str text)
{
    int32_t *symbols = bpe_symbols(&t->bpe, text.len);
    size_t count = 0;
    for (size_t at = 0; at < text.len;) {
        uint32_t codepoint;
        size_t len = utf8_decode(text.data + at, text.len - at, &codepoint);
        int32_t id = TOKEN_NONE;
        if (len > 0)
            id = tokenizer_find(t, (struct str){text.data + at, len});
        if (id != TOKEN_NONE && t->tokens[id].class == TOKEN_PLAIN) {
            symbols[count++] = id;
            at += len;
            continue;
        }
        size_t end = at + (len > 0 ? len : 1);
        for (; at < end; at++)
            symbols[count++] = t->byte_ids[(unsigned char)text.data[at]];
    }
    return count;
}

static void encode_byte_fallback(struct tokenizer *t, struct str text, struct token_list *list,
                                 size_t *count)
{
    strbuf_clear(&t->normalized);
    if (text.len > 0)
        strbuf_puts(&t->normalized, space_mark);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == ' ')
            strbuf_puts(&t->normalized, space_mark);
        else
            strbuf_append(&t->normalized, &text.data[i], 1);
    }
    size_t symbols_count = fallback_symbols(t, (struct str){t->normalized.data, t->normalized.len});
    *count = bpe_merge_symbols(&t->bpe, symbols_count);
    if (list)
        token_list_append(list, t->bpe.ids, *count);
}

static enum err_code encode(struct tokenizer *t, struct str text, struct token_list *list,
                            size_t *count, struct err *err)
{
    if (text.len > TEXT_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "tokenize a text of %zu bytes: at most %d are allowed",
                       text.len, TEXT_BYTES_MAX);
    switch (t->kind) {
    case TOKENIZER_BYTE_LEVEL:
        return encode_byte_level(t, text, list, count, err);
    case TOKENIZER_BYTE_FALLBACK:
        encode_byte_fallback(t, text, list, count);
        return ERR_OK;
    }
    UNREACHABLE("unknown kind of tokenizer");
}

enum err_code tokenizer_encode(struct tokenizer *tokenizer, struct str text,
                               struct token_list *list, struct err *err)
{
    size_t before = list->count;
    size_t count = 0;
    enum err_code rc = encode(tokenizer, text, list, &count, err);
    if (rc != ERR_OK)
        list->count = before;
    return rc;
}

enum err_code tokenizer_count(struct tokenizer *tokenizer, struct str text, size_t *count_out,
                              struct err *err)
{
    size_t count = 0;
    enum err_code rc = encode(tokenizer, text, NULL, &count, err);
    if (rc == ERR_OK)
        *count_out = count;
    return rc;
}

enum err_code tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                               struct strbuf *out, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= tokenizer->count)
            return err_set(err, ERR_INVALID, "decode token %d: the vocabulary has %d entries",
                           ids[i], tokenizer->count);
    }
    bool at_start = tokenizer->kind == TOKENIZER_BYTE_FALLBACK;
    for (size_t i = 0; i < count; i++) {
        struct str text = tokenizer_token(tokenizer, ids[i]);
        if (at_start && !tokenizer_is_special(tokenizer, ids[i])) {
            at_start = false;
            if (text.len > 0 && text.data[0] == ' ')
                text = (struct str){text.data + 1, text.len - 1};
        }
        strbuf_append(out, text.data, text.len);
    }
    return ERR_OK;
}

struct str tokenizer_token(const struct tokenizer *tokenizer, int32_t id)
{
    ASSERT(id >= 0);
    ASSERT(id < tokenizer->count);
    const struct token *token = &tokenizer->tokens[id];
    return (struct str){strbuf_text(&tokenizer->texts) + token->text_offset, token->text_len};
}

int32_t tokenizer_vocabulary(const struct tokenizer *tokenizer)
{
    return tokenizer->count;
}

int32_t tokenizer_special(const struct tokenizer *tokenizer, const char *text)
{
    int32_t id = tokenizer_find(tokenizer, str_from(text));
    return id != TOKEN_NONE && tokenizer_is_special(tokenizer, id) ? id : TOKEN_NONE;
}

bool tokenizer_is_special(const struct tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && id < tokenizer->count && tokenizer->tokens[id].class == TOKEN_ADDED;
}

int32_t tokenizer_bos(const struct tokenizer *tokenizer)
{
    return tokenizer->bos;
}

int32_t tokenizer_eos(const struct tokenizer *tokenizer)
{
    return tokenizer->eos;
}
