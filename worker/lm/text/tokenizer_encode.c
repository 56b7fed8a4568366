/* Text to ids: repair, cut out added tokens, normalize what is between them, cut it into words,
 * merge each word. Places are followed back the same way. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "tokenizer.h"
#include "tokenizer_impl.h"
#include "utf8.h"

/* Positions must fit 31 bits, also when each byte became three. */
enum { TEXT_BYTES_MAX = 1 << 29 };

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

void place_list_release(struct place_list *list)
{
    free(list->places);
    *list = (struct place_list){0};
}

void place_list_append(struct place_list *list, struct text_place place)
{
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 256;
        list->places = realloc(list->places, list->cap * sizeof *list->places);
        ASSERT(list->places != NULL);
    }
    list->places[list->count++] = place;
}

/* One call of encode. */
struct run {
    struct tokenizer *t;
    enum added_policy policy;
    struct token_list *list;   /* NULL: only count */
    struct place_list *places; /* or NULL */
    size_t count;
    struct str text;    /* repaired */
    bool is_repaired;   /* then t->repaired leads back to the original */
    size_t piece_begin; /* of the piece between added tokens, in text */
    bool is_normalized; /* then t->normal leads back to the piece */
    size_t word_begin;  /* in the piece as normalized */
};

/* The whole characters around a part of text that is UTF-8. */
static struct text_place whole(struct str text, struct text_place part)
{
    while (part.begin > 0 && ((unsigned char)text.data[part.begin] & 0xc0) == 0x80)
        part.begin--;
    while (part.end < text.len && ((unsigned char)text.data[part.end] & 0xc0) == 0x80)
        part.end++;
    return part;
}

/* `place` is in the repaired text and not empty. */
static void put_place(struct run *run, struct text_place place)
{
    place = whole(run->text, place);
    if (run->is_repaired)
        place = text_map_find(&run->t->repaired, place);
    place_list_append(run->places, place);
}

/* The places of a word's tokens: one after the other, each as long as its bytes. */
static void put_places(struct run *run, const int32_t *ids, size_t count)
{
    uint32_t at = (uint32_t)run->word_begin;
    for (size_t i = 0; i < count; i++) {
        struct text_place place = {at, at + (uint32_t)image_text(&run->t->image, ids[i]).len};
        at = place.end;
        if (run->is_normalized)
            place = text_map_find(&run->t->normal, place);
        place.begin += (uint32_t)run->piece_begin;
        place.end += (uint32_t)run->piece_begin;
        put_place(run, place);
    }
}

/* Characters become tokens of their own; what the vocabulary lacks becomes its bytes. */
static size_t fallback_symbols(struct tokenizer *t, struct str text)
{
    int32_t *symbols = bpe_symbols(&t->bpe, text.len);
    size_t count = 0;
    for (size_t at = 0; at < text.len;) {
        unsigned char c = (unsigned char)text.data[at];
        if (c < 0x80) {
            symbols[count++] = t->ascii_ids[c];
            at++;
            continue;
        }
        uint32_t codepoint;
        size_t len = utf8_decode(text.data + at, text.len - at, &codepoint);
        ASSERT(len > 0);
        int32_t id = image_find_word(&t->image, (struct str){text.data + at, len});
        size_t end = at + len;
        if (id != TOKEN_NONE)
            symbols[count++] = id;
        for (; at < end; at++) {
            if (id == TOKEN_NONE)
                symbols[count++] = t->image.header->byte_ids[(unsigned char)text.data[at]];
        }
    }
    return count;
}

static size_t merge_word(struct tokenizer *t, struct str word)
{
    size_t count = word.len;
    if (tokenizer_is_fallback(t)) {
        count = fallback_symbols(t, word);
    } else {
        int32_t *symbols = bpe_symbols(&t->bpe, word.len);
        if (t->image.header->flags & IMAGE_IGNORE_MERGES) {
            symbols[0] = image_find_word(&t->image, word);
            if (symbols[0] != TOKEN_NONE)
                return 1;
        }
        for (size_t i = 0; i < word.len; i++)
            symbols[i] = t->image.header->byte_ids[(unsigned char)word.data[i]];
    }
    return bpe_merge(&t->bpe, &t->image, count);
}

static void encode_word(struct run *run, struct str word)
{
    struct tokenizer *t = run->t;
    bool is_hit = false;
    struct word_slot *slot = word_cache_slot(t->cache, word, &is_hit);
    const int32_t *ids;
    size_t count;
    if (slot && is_hit) {
        ids = slot->ids;
        count = slot->count;
    } else {
        count = merge_word(t, word);
        ids = t->bpe.ids;
        if (slot)
            word_slot_fill(slot, ids, count);
    }
    run->count += count;
    if (run->list)
        token_list_append(run->list, ids, count);
    if (run->places)
        put_places(run, ids, count);
    run->word_begin += word.len;
}

static enum err_code encode_byte_level(struct run *run, struct str text, struct err *err)
{
    text_split_begin(run->t->split, text);
    for (;;) {
        struct str word;
        enum err_code rc = text_split_next(run->t->split, &word, err);
        if (rc != ERR_OK || word.len == 0)
            return rc;
        encode_word(run, word);
    }
}

/* Merges see the whole text, but between most characters there is none to make: cutting there
 * changes nothing, and gives words that come again. */
static void encode_fallback(struct run *run, struct str text)
{
    const struct tokenizer_image *image = &run->t->image;
    size_t begin = 0;
    for (size_t at = 1; at < text.len; at++) {
        uint8_t c = (uint8_t)text.data[at];
        bool is_inside = (c & 0xc0) == 0x80;
        if (is_inside || image_joins(image, (uint8_t)text.data[at - 1], c))
            continue;
        encode_word(run, (struct str){text.data + begin, at - begin});
        begin = at;
    }
    if (begin < text.len)
        encode_word(run, (struct str){text.data + begin, text.len - begin});
}

/* Encode what is between added tokens. */
static enum err_code encode_piece(struct run *run, size_t begin, size_t end, struct err *err)
{
    struct tokenizer *t = run->t;
    uint32_t flags = t->image.header->flags;
    struct str piece = {run->text.data + begin, end - begin};
    if (piece.len == 0)
        return ERR_OK;
    text_map_begin(&t->normal, run->places != NULL);
    run->piece_begin = begin;
    run->word_begin = 0;
    run->is_normalized = false;
    if (flags & IMAGE_NFC)
        run->is_normalized = text_nfc(piece, &t->nfc, &t->normal);
    if (flags & IMAGE_BYTE_FALLBACK)
        run->is_normalized = text_join_marks(piece, flags & IMAGE_PREPEND, &t->normal);
    if (run->is_normalized)
        piece = (struct str){t->normal.text.data, t->normal.text.len};
    if (!(flags & IMAGE_BYTE_FALLBACK))
        return encode_byte_level(run, piece, err);
    encode_fallback(run, piece);
    return ERR_OK;
}

static void put_added(struct run *run, const struct added_match *match)
{
    run->count++;
    if (run->list)
        token_list_append(run->list, &match->id, 1);
    if (run->places)
        put_place(run, (struct text_place){(uint32_t)match->begin, (uint32_t)match->end});
}

static enum err_code encode(struct run *run, struct str text, struct err *err)
{
    struct tokenizer *t = run->t;
    if (text.len > TEXT_BYTES_MAX)
        return err_set(err, ERR_INVALID, "tokenize a text of %zu bytes: at most %d are allowed",
                       text.len, TEXT_BYTES_MAX);
    if (!t->cache)
        t->cache = word_cache_new();
    text_map_begin(&t->repaired, run->places != NULL);
    run->text = text;
    run->is_repaired = text_repair(text, &t->repaired, &t->replaced);
    if (run->is_repaired)
        run->text = (struct str){t->repaired.text.data, t->repaired.text.len};
    struct added_match match;
    size_t done = 0;
    while (added_tokens_next(&t->added, run->policy, run->text, done, &match)) {
        enum err_code rc = encode_piece(run, done, match.begin, err);
        if (rc != ERR_OK)
            return rc;
        put_added(run, &match);
        done = match.end;
    }
    return encode_piece(run, done, run->text.len, err);
}

enum err_code tokenizer_encode_with(struct tokenizer *tokenizer, struct str text,
                                    enum added_policy policy, struct token_list *list,
                                    struct place_list *places, struct err *err)
{
    struct run run = {.t = tokenizer, .policy = policy, .list = list, .places = places};
    size_t before = list->count;
    size_t places_before = places ? places->count : 0;
    enum err_code rc = encode(&run, text, err);
    if (rc != ERR_OK) {
        list->count = before;
        if (places)
            places->count = places_before;
    }
    return rc;
}

enum err_code tokenizer_encode(struct tokenizer *tokenizer, struct str text,
                               struct token_list *list, struct err *err)
{
    return tokenizer_encode_with(tokenizer, text, ADDED_ORDINARY, list, NULL, err);
}

enum err_code tokenizer_count(struct tokenizer *tokenizer, struct str text, size_t *count_out,
                              struct err *err)
{
    struct run run = {.t = tokenizer, .policy = ADDED_ORDINARY};
    enum err_code rc = encode(&run, text, err);
    if (rc == ERR_OK)
        *count_out = run.count;
    return rc;
}
