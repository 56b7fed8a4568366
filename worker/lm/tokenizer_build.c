/* Putting a tokenizer together entry by entry: for the reader of files, the trainer and the
 * converters alike, so that all obey the same rules. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "tokenizer_impl.h"
#include "utf8.h"

enum { BYTE_VALUES = 256 };

/* Customary names of the tokens that begin and end a text (Llama 3, Llama 2, Gemma). */
static const char *const bos_names[] = {"<|begin_of_text|>", "<s>", "<bos>"};
static const char *const eos_names[] = {"<|end_of_text|>", "</s>", "<eos>"};

enum err_code tokenizer_new(enum tokenizer_kind kind, enum split_pattern pattern,
                            struct tokenizer **tokenizer_out, struct err *err)
{
    struct text_split *split = NULL;
    if (kind == TOKENIZER_BYTE_LEVEL) {
        enum err_code rc = text_split_new(pattern, &split, err);
        if (rc != ERR_OK)
            return rc;
    }
    struct tokenizer *t = calloc(1, sizeof *t);
    ASSERT(t != NULL);
    t->kind = kind;
    t->pattern = pattern;
    t->split = split;
    t->bos = TOKEN_NONE;
    t->eos = TOKEN_NONE;
    for (int i = 0; i < BYTE_VALUES; i++)
        t->byte_ids[i] = TOKEN_NONE;
    if (kind == TOKENIZER_BYTE_LEVEL) {
        t->cache = calloc(CACHE_SLOTS, sizeof *t->cache);
        ASSERT(t->cache != NULL);
    }
    *tokenizer_out = t;
    return ERR_OK;
}

void tokenizer_free(struct tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    text_split_free(tokenizer->split);
    free(tokenizer->tokens);
    intern_release(&tokenizer->names);
    free(tokenizer->name_ids);
    strbuf_release(&tokenizer->texts);
    bpe_release(&tokenizer->bpe);
    free(tokenizer->cache);
    strbuf_release(&tokenizer->normalized);
    free(tokenizer);
}

int32_t tokenizer_find(const struct tokenizer *t, struct str name)
{
    uint32_t key = intern_find(&t->names, name.data, name.len);
    return key == INTERN_NONE ? TOKEN_NONE : t->name_ids[key];
}

/* Append the bytes that a byte-level spelling stands for; false when it is not one. */
static bool unspell_byte_level(struct str name, struct strbuf *out)
{
    for (size_t at = 0; at < name.len;) {
        uint32_t codepoint;
        size_t len = utf8_decode(name.data + at, name.len - at, &codepoint);
        int byte = len > 0 ? byte_from_spelling(codepoint) : -1;
        if (byte < 0)
            return false;
        strbuf_putc(out, (char)byte);
        at += len;
    }
    return true;
}

/* The byte of "<0x0A>", or -1. */
static int byte_of_fallback(struct str name)
{
    static const char digits[] = "0123456789ABCDEF";
    if (name.len != 6 || memcmp(name.data, "<0x", 3) != 0 || name.data[5] != '>')
        return -1;
    const char *high = memchr(digits, name.data[3], 16);
    const char *low = memchr(digits, name.data[4], 16);
    return high && low ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

static void unspell_fallback(struct str name, struct strbuf *out)
{
    for (size_t at = 0; at < name.len;) {
        if (name.len - at >= 3 && memcmp(name.data + at, "\xe2\x96\x81", 3) == 0) {
            strbuf_putc(out, ' ');
            at += 3;
        } else {
            strbuf_putc(out, name.data[at++]);
        }
    }
}

/* Make room for `id`, and refuse one that is out of bounds or taken. */
static enum err_code claim_id(struct tokenizer *t, struct str name, int32_t id, struct err *err)
{
    if (id < 0 || id >= TOKENIZER_VOCABULARY_MAX)
        return err_set(err, ERR_CORRUPT, "token '%.*s' has id %d, outside 0 to %d", (int)name.len,
                       name.data, id, TOKENIZER_VOCABULARY_MAX - 1);
    if (id >= t->cap) {
        int32_t cap = id >= 2 * t->cap ? id + 256 : 2 * t->cap;
        t->tokens = realloc(t->tokens, (size_t)cap * sizeof *t->tokens);
        t->name_ids = realloc(t->name_ids, (size_t)cap * sizeof *t->name_ids);
        ASSERT(t->tokens != NULL);
        ASSERT(t->name_ids != NULL);
        memset(t->tokens + t->cap, 0, (size_t)(cap - t->cap) * sizeof *t->tokens);
        t->cap = cap;
    }
    if (t->tokens[id].class != TOKEN_ABSENT)
        return err_set(err, ERR_CORRUPT, "token '%.*s' has id %d, which another token has",
                       (int)name.len, name.data, id);
    if (tokenizer_find(t, name) != TOKEN_NONE)
        return err_set(err, ERR_CORRUPT, "token '%.*s' is listed twice", (int)name.len, name.data);
    return ERR_OK;
}

static struct token *put_token(struct tokenizer *t, struct str name, int32_t id,
                               enum token_class class, size_t text_offset)
{
    uint32_t key = intern_add(&t->names, name.data, name.len);
    t->name_ids[key] = id;
    t->tokens[id] = (struct token){.class = class,
                                   .name = key,
                                   .text_offset = text_offset,
                                   .text_len = (uint32_t)(t->texts.len - text_offset)};
    if (id >= t->count)
        t->count = id + 1;
    return &t->tokens[id];
}

enum err_code tokenizer_enter(struct tokenizer *t, struct str name, int32_t id, struct err *err)
{
    enum err_code rc = claim_id(t, name, id, err);
    if (rc != ERR_OK)
        return rc;
    size_t text_offset = t->texts.len;
    enum token_class class = TOKEN_PLAIN;
    if (t->kind == TOKENIZER_BYTE_LEVEL) {
        if (!unspell_byte_level(name, &t->texts)) {
            t->texts.len = text_offset;
            return err_set(err, ERR_CORRUPT,
                           "token '%.*s' has a character outside the byte alphabet", (int)name.len,
                           name.data);
        }
    } else {
        int byte = byte_of_fallback(name);
        if (byte >= 0) {
            class = TOKEN_BYTE;
            strbuf_putc(&t->texts, (char)byte);
        } else {
            unspell_fallback(name, &t->texts);
        }
    }
    put_token(t, name, id, class, text_offset)->in_model = true;
    return ERR_OK;
}

enum err_code tokenizer_enter_added(struct tokenizer *t, struct str name, int32_t id,
                                    bool is_special, struct err *err)
{
    if (name.len == 0 || utf8_valid_prefix(name.data, name.len) != name.len)
        return err_set(err, ERR_CORRUPT, "the text of added token %d is empty or not UTF-8", id);
    int32_t existing = tokenizer_find(t, name);
    bool in_model = existing != TOKEN_NONE && existing == id && t->tokens[id].in_model;
    if (in_model && t->tokens[id].class == TOKEN_ADDED)
        return err_set(err, ERR_CORRUPT, "added token '%.*s' is listed twice", (int)name.len,
                       name.data);
    if (!in_model) {
        enum err_code rc = claim_id(t, name, id, err);
        if (rc != ERR_OK)
            return rc;
    }
    size_t text_offset = t->texts.len;
    strbuf_append(&t->texts, name.data, name.len);
    struct token *token = put_token(t, name, id, TOKEN_ADDED, text_offset);
    token->in_model = in_model;
    token->is_special = is_special;
    return ERR_OK;
}

enum err_code tokenizer_enter_merge(struct tokenizer *t, struct str left, struct str right,
                                    struct err *err)
{
    struct strbuf joined = {0};
    strbuf_append(&joined, left.data, left.len);
    strbuf_append(&joined, right.data, right.len);
    struct bpe_merge merge = {
        .left = tokenizer_find(t, left),
        .right = tokenizer_find(t, right),
        .result = tokenizer_find(t, (struct str){joined.data, joined.len}),
    };
    strbuf_release(&joined);
    if (merge.left == TOKEN_NONE || merge.right == TOKEN_NONE || merge.result == TOKEN_NONE)
        return err_set(err, ERR_CORRUPT,
                       "merge %u ('%.*s' with '%.*s') names a token that the vocabulary lacks",
                       t->bpe.merges_count + 1, (int)left.len, left.data, (int)right.len,
                       right.data);
    if (!bpe_add_merge(&t->bpe, merge))
        return err_set(err, ERR_CORRUPT, "merge %u ('%.*s' with '%.*s') is listed twice",
                       t->bpe.merges_count + 1, (int)left.len, left.data, (int)right.len,
                       right.data);
    return ERR_OK;
}

static int32_t find_byte(const struct tokenizer *t, int byte)
{
    char name[8];
    size_t len;
    if (t->kind == TOKENIZER_BYTE_LEVEL)
        len = utf8_encode(byte_spelling((uint8_t)byte), name);
    else
        len = (size_t)snprintf(name, sizeof name, "<0x%02X>", (unsigned)byte);
    int32_t id = tokenizer_find(t, (struct str){name, len});
    return id != TOKEN_NONE && t->tokens[id].class != TOKEN_ADDED ? id : TOKEN_NONE;
}

static int32_t find_special(const struct tokenizer *t, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int32_t id = tokenizer_special(t, names[i]);
        if (id != TOKEN_NONE)
            return id;
    }
    return TOKEN_NONE;
}

enum err_code tokenizer_finish(struct tokenizer *t, struct err *err)
{
    for (int32_t id = 0; id < t->count; id++) {
        if (t->tokens[id].class == TOKEN_ABSENT)
            return err_set(err, ERR_CORRUPT, "no token has id %d, though the ids go up to %d", id,
                           t->count - 1);
    }
    for (int byte = 0; byte < BYTE_VALUES; byte++) {
        t->byte_ids[byte] = find_byte(t, byte);
        if (t->byte_ids[byte] == TOKEN_NONE)
            return err_set(err, ERR_INVALID,
                           "byte 0x%02X has no token, so some texts could not be written",
                           (unsigned)byte);
    }
    for (uint32_t rank = 0; rank < t->bpe.merges_count; rank++) {
        int32_t result = t->bpe.merges[rank].result;
        struct str name = tokenizer_token(t, result);
        if (t->tokens[result].class == TOKEN_ADDED)
            return err_set(err, ERR_INVALID,
                           "merge %u makes the added token '%.*s' out of plain text", rank + 1,
                           (int)name.len, name.data);
    }
    t->bos = find_special(t, bos_names, ARRAY_COUNT(bos_names));
    t->eos = find_special(t, eos_names, ARRAY_COUNT(eos_names));
    return ERR_OK;
}

enum err_code tokenizer_check_special(const struct tokenizer *tokenizer, const char *text,
                                      struct err *err)
{
    struct str name = str_from(text);
    if (name.len == 0 || utf8_valid_prefix(name.data, name.len) != name.len)
        return err_set(err, ERR_INVALID, "add special token: its text is empty or not UTF-8");
    if (tokenizer_find(tokenizer, name) != TOKEN_NONE)
        return err_set(err, ERR_CONFLICT, "add special token '%s': there is a token of this name",
                       text);
    if (tokenizer->count >= TOKENIZER_VOCABULARY_MAX)
        return err_set(err, ERR_LIMIT, "add special token '%s': the vocabulary is full", text);
    return ERR_OK;
}

enum err_code tokenizer_add_special(struct tokenizer *tokenizer, const char *text, int32_t *id_out,
                                    struct err *err)
{
    int32_t id = tokenizer->count;
    enum err_code rc = tokenizer_check_special(tokenizer, text, err);
    if (rc == ERR_OK)
        rc = tokenizer_enter_added(tokenizer, str_from(text), id, true, err);
    if (rc != ERR_OK)
        return rc;
    if (tokenizer->bos == TOKEN_NONE)
        tokenizer->bos = find_special(tokenizer, bos_names, ARRAY_COUNT(bos_names));
    if (tokenizer->eos == TOKEN_NONE)
        tokenizer->eos = find_special(tokenizer, eos_names, ARRAY_COUNT(eos_names));
    *id_out = id;
    return ERR_OK;
}
