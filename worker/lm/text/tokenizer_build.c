#include "tokenizer_build.h"

#include <stdlib.h>
#include <string.h>

#include "added_tokens.h"
#include "check.h"
#include "token_spelling.h"
#include "tokenizer_impl.h"
#include "tokenizer_layout.h"
#include "utf8.h"

enum { BYTE_VALUES = 256 };

void tokenizer_builder_begin(struct tokenizer_builder *b, uint32_t flags,
                             enum split_pattern pattern)
{
    *b = (struct tokenizer_builder){.flags = flags, .pattern = pattern};
}

void tokenizer_builder_release(struct tokenizer_builder *b)
{
    free(b->tokens);
    intern_release(&b->names);
    free(b->name_ids);
    strbuf_release(&b->texts);
    free(b->merges);
    free(b->added);
    strbuf_release(&b->contents);
    *b = (struct tokenizer_builder){0};
}

int32_t tokenizer_builder_find(const struct tokenizer_builder *b, struct str name)
{
    uint32_t key = intern_find(&b->names, name.data, name.len);
    return key == INTERN_NONE ? TOKEN_NONE : b->name_ids[key];
}

/* Make room for `id`, and refuse one that is out of bounds or taken. */
static enum err_code claim_id(struct tokenizer_builder *b, struct str name, int32_t id,
                              struct err *err)
{
    if (id < 0 || id >= TOKENIZER_VOCABULARY_MAX)
        return err_set(err, ERR_CORRUPT, "token '%.*s' has id %d, outside 0 to %d", (int)name.len,
                       name.data, id, TOKENIZER_VOCABULARY_MAX - 1);
    if (id >= b->cap) {
        int32_t cap = id >= 2 * b->cap ? id + 256 : 2 * b->cap;
        b->tokens = realloc(b->tokens, (size_t)cap * sizeof *b->tokens);
        b->name_ids = realloc(b->name_ids, (size_t)cap * sizeof *b->name_ids);
        ASSERT(b->tokens != NULL);
        ASSERT(b->name_ids != NULL);
        memset(b->tokens + b->cap, 0, (size_t)(cap - b->cap) * sizeof *b->tokens);
        b->cap = cap;
    }
    if (b->tokens[id].flags != 0)
        return err_set(err, ERR_CORRUPT, "token '%.*s' has id %d, which another token has",
                       (int)name.len, name.data, id);
    return ERR_OK;
}

/* Enter a token whose bytes were just appended to texts. */
static enum err_code put_token(struct tokenizer_builder *b, struct str name, int32_t id,
                               uint8_t flags, size_t text_offset, struct err *err)
{
    uint32_t known = b->names.count;
    uint32_t key = intern_add(&b->names, name.data, name.len);
    if (key < known)
        return err_set(err, ERR_CORRUPT, "token '%.*s' is listed twice", (int)name.len, name.data);
    b->name_ids[key] = id;
    b->tokens[id] = (struct build_token){.flags = flags,
                                         .name = key,
                                         .text_offset = text_offset,
                                         .text_len = (uint32_t)(b->texts.len - text_offset)};
    if (id >= b->count)
        b->count = id + 1;
    return ERR_OK;
}

enum err_code tokenizer_enter(struct tokenizer_builder *b, struct str name, int32_t id,
                              struct err *err)
{
    enum err_code rc = claim_id(b, name, id, err);
    if (rc != ERR_OK)
        return rc;
    size_t text_offset = b->texts.len;
    bool is_fallback = b->flags & IMAGE_BYTE_FALLBACK;
    bool is_byte = false;
    if (!token_unspell(name, is_fallback, &is_byte, &b->texts))
        return err_set(err, ERR_CORRUPT,
                       is_fallback ? "token '%.*s' has a space, which is written U+2581"
                                   : "token '%.*s' has a character outside the byte alphabet",
                       (int)name.len, name.data);
    uint8_t flags = (uint8_t)(TOKEN_IN_MODEL | (is_byte ? TOKEN_IS_BYTE : 0));
    return put_token(b, name, id, flags, text_offset, err);
}

static void put_added(struct tokenizer_builder *b, struct str content, int32_t id)
{
    if (b->added_count == b->added_cap) {
        b->added_cap = b->added_cap ? b->added_cap * 2 : 64;
        b->added = realloc(b->added, b->added_cap * sizeof *b->added);
        ASSERT(b->added != NULL);
    }
    strbuf_append(&b->contents, content.data, content.len);
    b->added[b->added_count++] = (struct image_added){id, (uint32_t)b->contents.len};
}

enum err_code tokenizer_enter_added(struct tokenizer_builder *b, struct str content, int32_t id,
                                    bool is_special, struct err *err)
{
    if (content.len == 0 || content.len > ADDED_CONTENT_MAX ||
        utf8_valid_prefix(content.data, content.len) != content.len)
        return err_set(err, ERR_CORRUPT,
                       "the text of added token %d is empty, not UTF-8, or longer than %d bytes",
                       id, ADDED_CONTENT_MAX);
    uint8_t flags = (uint8_t)(TOKEN_IS_ADDED | (is_special ? TOKEN_IS_SPECIAL : 0));
    int32_t existing = tokenizer_builder_find(b, content);
    if (existing != TOKEN_NONE && existing == id) {
        if (b->tokens[id].flags & TOKEN_IS_ADDED)
            return err_set(err, ERR_CORRUPT, "added token '%.*s' is listed twice", (int)content.len,
                           content.data);
        b->tokens[id].flags |= flags;
        put_added(b, content, id);
        return ERR_OK;
    }
    enum err_code rc = claim_id(b, content, id, err);
    if (rc != ERR_OK)
        return rc;
    size_t text_offset = b->texts.len;
    /* The text as a decoder gives it: marked spaces are spaces. */
    bool is_byte;
    if (!(b->flags & IMAGE_BYTE_FALLBACK) || !token_unspell(content, true, &is_byte, &b->texts))
        strbuf_append(&b->texts, content.data, content.len);
    rc = put_token(b, content, id, flags, text_offset, err);
    if (rc == ERR_OK)
        put_added(b, content, id);
    return rc;
}

enum err_code tokenizer_enter_pair(struct tokenizer_builder *b, int32_t left, int32_t right,
                                   int32_t result, struct err *err)
{
    if (b->merge_count == b->merge_cap) {
        b->merge_cap = b->merge_cap ? b->merge_cap * 2 : 256;
        b->merges = realloc(b->merges, b->merge_cap * sizeof *b->merges);
        ASSERT(b->merges != NULL);
    }
    /* "<0x41>" with "b" is spelled "<0x41>b": no text merges into that. */
    if (b->tokens[left].text_len + b->tokens[right].text_len != b->tokens[result].text_len ||
        b->tokens[left].text_len == 0 || b->tokens[right].text_len == 0)
        return err_set(err, ERR_INVALID, "merge %u makes a token that is not its two sides",
                       b->merge_count + 1);
    b->merges[b->merge_count] = (struct image_pair){left, right, b->merge_count, result};
    b->merge_count++;
    return ERR_OK;
}

enum err_code tokenizer_enter_merge(struct tokenizer_builder *b, struct str left, struct str right,
                                    struct err *err)
{
    char joined[512]; /* longer ones are rare */
    size_t len = left.len + right.len;
    char *room = len <= sizeof joined ? joined : malloc(len);
    ASSERT(room != NULL);
    memcpy(room, left.data, left.len);
    memcpy(room + left.len, right.data, right.len);
    int32_t left_id = tokenizer_builder_find(b, left);
    int32_t right_id = tokenizer_builder_find(b, right);
    int32_t result = tokenizer_builder_find(b, (struct str){room, len});
    if (room != joined)
        free(room);
    if (left_id == TOKEN_NONE || right_id == TOKEN_NONE || result == TOKEN_NONE)
        return err_set(err, ERR_CORRUPT,
                       "merge %u ('%.*s' with '%.*s') names a token that the vocabulary lacks",
                       b->merge_count + 1, (int)left.len, left.data, (int)right.len, right.data);
    return tokenizer_enter_pair(b, left_id, right_id, result, err);
}

static int32_t find_byte(const struct tokenizer_builder *b, int byte)
{
    bool is_fallback = b->flags & IMAGE_BYTE_FALLBACK;
    char text = (char)byte;
    struct strbuf name = {0};
    token_spell((struct str){&text, 1}, is_fallback, is_fallback, &name);
    int32_t id = tokenizer_builder_find(b, (struct str){name.data, name.len});
    strbuf_release(&name);
    return id != TOKEN_NONE && !token_flags_control(b->tokens[id].flags) ? id : TOKEN_NONE;
}

static enum err_code check_whole(const struct tokenizer_builder *b, int32_t byte_ids[256],
                                 struct err *err)
{
    for (int32_t id = 0; id < b->count; id++) {
        if (b->tokens[id].flags == 0)
            return err_set(err, ERR_CORRUPT, "no token has id %d, though the ids go up to %d", id,
                           b->count - 1);
    }
    for (int byte = 0; byte < BYTE_VALUES; byte++) {
        byte_ids[byte] = find_byte(b, byte);
        if (byte_ids[byte] == TOKEN_NONE)
            return err_set(err, ERR_INVALID,
                           "byte 0x%02X has no token, so some texts could not be written",
                           (unsigned)byte);
    }
    for (uint32_t rank = 0; rank < b->merge_count; rank++) {
        const struct build_token *result = &b->tokens[b->merges[rank].result];
        if (token_flags_control(result->flags))
            return err_set(err, ERR_INVALID,
                           "merge %u makes the special token '%.*s' out of plain text", rank + 1,
                           (int)result->text_len, b->texts.data + result->text_offset);
    }
    return b->texts.len <= UINT32_MAX ? ERR_OK
                                      : err_set(err, ERR_LIMIT, "the tokens have over 4 GiB");
}

/* Counts and sizes of an image of this. */
static void describe(const struct tokenizer_builder *b, size_t parts_bytes,
                     struct image_header *header)
{
    size_t text_bytes = 0;
    for (int32_t id = 0; id < b->count; id++)
        text_bytes += b->tokens[id].text_len;
    header->flags = b->flags;
    header->pattern = b->pattern;
    header->token_count = (uint32_t)b->count;
    header->merge_count = b->merge_count;
    header->added_count = b->added_count;
    header->word_slots = image_slots_for((uint32_t)b->count);
    header->pair_slots = image_slots_for(b->merge_count);
    const size_t sizes[SECTION_COUNT] = {
        [SECTION_ENDS] = (size_t)b->count * sizeof(uint32_t),
        [SECTION_FLAGS] = (size_t)b->count,
        [SECTION_TEXTS] = text_bytes,
        [SECTION_WORDS] = header->word_slots * sizeof(uint32_t),
        [SECTION_PAIRS] = header->pair_slots * sizeof(struct image_pair),
        [SECTION_JOINS] = IMAGE_JOINS_BYTES,
        [SECTION_ADDED] = b->added_count * sizeof(struct image_added),
        [SECTION_CONTENTS] = b->contents.len,
        [SECTION_PARTS] = parts_bytes,
    };
    for (int i = 0; i < SECTION_COUNT; i++)
        header->sections[i].bytes = sizes[i];
}

static void *section_of(void *block, enum image_section section)
{
    const struct image_header *header = block;
    return (char *)block + header->sections[section].offset;
}

static void fill_tokens(const struct tokenizer_builder *b, void *block)
{
    uint32_t *ends = section_of(block, SECTION_ENDS);
    uint8_t *flags = section_of(block, SECTION_FLAGS);
    char *texts = section_of(block, SECTION_TEXTS);
    uint32_t at = 0;
    for (int32_t id = 0; id < b->count; id++) {
        const struct build_token *token = &b->tokens[id];
        if (token->text_len > 0)
            memcpy(texts + at, b->texts.data + token->text_offset, token->text_len);
        at += token->text_len;
        ends[id] = at;
        flags[id] = token->flags;
    }
    if (b->added_count == 0)
        return;
    memcpy(section_of(block, SECTION_ADDED), b->added, b->added_count * sizeof *b->added);
    memcpy(section_of(block, SECTION_CONTENTS), strbuf_text(&b->contents), b->contents.len);
}

static void fill_words(const struct tokenizer_builder *b, void *block,
                       const struct tokenizer_image *image)
{
    uint32_t *words = section_of(block, SECTION_WORDS);
    for (int32_t id = 0; id < b->count; id++) {
        uint8_t flags = b->tokens[id].flags;
        bool is_word =
            (flags & TOKEN_IN_MODEL) && !(flags & TOKEN_IS_BYTE) && !token_flags_control(flags);
        if (is_word)
            image_put_word(words, image->header->word_slots, image, id);
    }
}

static enum err_code fill_pairs(const struct tokenizer_builder *b, void *block,
                                const struct tokenizer_image *image, struct err *err)
{
    uint32_t slots = image->header->pair_slots;
    struct image_pair *pairs = section_of(block, SECTION_PAIRS);
    uint8_t *joins = section_of(block, SECTION_JOINS);
    memset(pairs, 0xff, slots * sizeof *pairs);
    for (uint32_t rank = 0; rank < b->merge_count; rank++) {
        const struct image_pair *merge = &b->merges[rank];
        struct str left = image_text(image, merge->left);
        struct str right = image_text(image, merge->right);
        if (!image_put_pair(pairs, slots, *merge))
            return err_set(err, ERR_CORRUPT, "merge %u ('%.*s' with '%.*s') is listed twice",
                           rank + 1, (int)left.len, left.data, (int)right.len, right.data);
        uint32_t bit = (uint32_t)(uint8_t)left.data[left.len - 1] << 8 | (uint8_t)right.data[0];
        joins[bit / 8] = (uint8_t)(joins[bit / 8] | 1 << bit % 8);
    }
    return ERR_OK;
}

static enum err_code fill(const struct tokenizer_builder *b, const struct strbuf *parts,
                          void *block, struct tokenizer_image *image, struct err *err)
{
    image_open_own(block, image);
    fill_tokens(b, block);
    fill_words(b, block, image);
    memcpy(section_of(block, SECTION_PARTS), parts->data, parts->len);
    return fill_pairs(b, block, image, err);
}

static void append_parts(const char *const parts[PART_COUNT], struct strbuf *out)
{
    for (int i = 0; i < PART_COUNT; i++)
        strbuf_append(out, parts[i], strlen(parts[i]) + 1);
}

enum err_code tokenizer_builder_finish(struct tokenizer_builder *b,
                                       const char *const parts[PART_COUNT],
                                       const struct digest *source,
                                       struct tokenizer **tokenizer_out, struct err *err)
{
    struct image_header header = {0};
    struct strbuf texts = {0};
    enum err_code rc = check_whole(b, header.byte_ids, err);
    if (rc != ERR_OK)
        return rc;
    if (parts)
        append_parts(parts, &texts);
    else
        tokenizer_layout_parts(b->flags, b->pattern, &texts);
    describe(b, texts.len, &header);
    if (source)
        header.source = *source;
    char *block = calloc(1, image_lay_out(&header));
    ASSERT(block != NULL);
    memcpy(block, &header, sizeof header);
    struct tokenizer_image image;
    rc = fill(b, &texts, block, &image, err);
    strbuf_release(&texts);
    if (rc != ERR_OK) {
        free(block);
        return rc;
    }
    return tokenizer_open_image(block, 0, &image, tokenizer_out, err);
}
