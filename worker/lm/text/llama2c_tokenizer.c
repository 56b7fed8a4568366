#include "llama2c_tokenizer.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "tokenizer.h"
#include "tokenizer_build.h"
#include "utf8.h"

enum {
    LENGTH_BYTES = 4,
    ENTRY_HEAD_BYTES = 8,
    ENTRY_BYTES_MAX = 1024,
    FIRST_TEXT = LLAMA2C_FIRST_BYTE + 256,
};

struct entry {
    float score;
    int32_t id;
};

struct entries {
    struct entry *list;
    int32_t count;
};

static uint32_t load_u32(const uint8_t *bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= (uint32_t)bytes[i] << (8 * i);
    return value;
}

/* The file's spelling of a token → that of tokenizer.json. */
static void spell(int32_t id, struct str text, struct strbuf *out)
{
    static const char *const control[] = {"<unk>", "<s>", "</s>"};
    strbuf_clear(out);
    if (id < LLAMA2C_FIRST_BYTE) {
        strbuf_puts(out, control[id]);
        return;
    }
    if (id < FIRST_TEXT) {
        strbuf_printf(out, "<0x%02X>", (unsigned)(id - LLAMA2C_FIRST_BYTE));
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == ' ')
            strbuf_puts(out, "\u2581");
        else
            strbuf_putc(out, text.data[i]);
    }
}

static enum err_code enter(struct tokenizer_builder *t, int32_t id, struct str text,
                           struct err *err)
{
    if (id >= FIRST_TEXT && (text.len == 0 || utf8_valid_prefix(text.data, text.len) != text.len))
        return err_set(err, ERR_CORRUPT, "token %d is not UTF-8 text", id);
    struct strbuf name = {0};
    spell(id, text, &name);
    enum err_code rc = tokenizer_enter(t, (struct str){name.data, name.len}, id, err);
    if (rc == ERR_OK && id < LLAMA2C_FIRST_BYTE)
        rc = tokenizer_enter_added(t, (struct str){name.data, name.len}, id, true, err);
    strbuf_release(&name);
    return rc;
}

static enum err_code read_entries(struct tokenizer_builder *t, const uint8_t *bytes, size_t len,
                                  struct entries *entries, struct err *err)
{
    size_t at = LENGTH_BYTES;
    while (at < len) {
        int32_t id = entries->count;
        if (len - at < ENTRY_HEAD_BYTES)
            return err_set(err, ERR_CORRUPT, "token %d is cut short", id);
        uint32_t bits = load_u32(bytes + at);
        uint32_t text_len = load_u32(bytes + at + 4);
        at += ENTRY_HEAD_BYTES;
        if (text_len > ENTRY_BYTES_MAX || text_len > len - at)
            return err_set(err, ERR_CORRUPT, "token %d claims %u bytes", id, text_len);
        struct entry entry = {.id = id};
        memcpy(&entry.score, &bits, sizeof bits);
        if (!isfinite(entry.score))
            return err_set(err, ERR_CORRUPT, "token %d has a score that is not a number", id);
        enum err_code rc = enter(t, id, (struct str){(const char *)bytes + at, text_len}, err);
        if (rc != ERR_OK)
            return rc;
        entries->list[entries->count++] = entry;
        at += text_len;
    }
    if (entries->count < FIRST_TEXT)
        return err_set(err, ERR_CORRUPT, "%d tokens are too few: 3 marks and 256 bytes are needed",
                       entries->count);
    return ERR_OK;
}

static int compare_scores(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool is_text(const struct tokenizer_builder *t, struct str name)
{
    int32_t id = tokenizer_builder_find(t, name);
    return id >= FIRST_TEXT;
}

static bool splits_at(const struct tokenizer_builder *t, struct str name, size_t at)
{
    return is_text(t, (struct str){name.data, at}) &&
           is_text(t, (struct str){name.data + at, name.len - at});
}

/* Can two different pairs that make this text share a symbol: x y with y z, where both are it? */
static bool overlaps_itself(const struct tokenizer_builder *t, struct str name, size_t at)
{
    size_t right_len = name.len - at;
    return right_len != at && splits_at(t, name, right_len) &&
           memcmp(name.data + at, name.data, right_len) == 0;
}

/* Enter a merge for every pair that makes token `id`; says whether there was one. */
static enum err_code enter_merges(struct tokenizer_builder *t, int32_t id, bool *is_merged_out,
                                  struct err *err)
{
    struct str borrowed = intern_key_at(&t->names, t->tokens[id].name);
    struct strbuf copy = {0};
    strbuf_append(&copy, borrowed.data, borrowed.len);
    struct str name = {copy.data, copy.len};
    enum err_code rc = ERR_OK;
    *is_merged_out = false;
    for (size_t at = 1; rc == ERR_OK && at < name.len; at++) {
        if (!splits_at(t, name, at))
            continue;
        *is_merged_out = true;
        if (overlaps_itself(t, name, at))
            rc = err_set(err, ERR_INVALID,
                         "token %d '%.*s' overlaps itself, so ranks cannot stand for scores", id,
                         (int)name.len, name.data);
        else
            rc = tokenizer_enter_merge(t, (struct str){name.data, at},
                                       (struct str){name.data + at, name.len - at}, err);
    }
    strbuf_release(&copy);
    return rc;
}

/* Pairs by the score of what they make, the best first. */
static enum err_code rank_merges(struct tokenizer_builder *t, const struct entries *entries,
                                 struct err *err)
{
    struct entry *list = entries->list + FIRST_TEXT;
    size_t count = (size_t)(entries->count - FIRST_TEXT);
    const struct entry *previous = NULL;
    qsort(list, count, sizeof *list, compare_scores);
    for (size_t i = 0; i < count; i++) {
        bool is_merged;
        enum err_code rc = enter_merges(t, list[i].id, &is_merged, err);
        if (rc != ERR_OK)
            return rc;
        if (!is_merged)
            continue;
        if (previous && previous->score == list[i].score)
            return err_set(err, ERR_INVALID,
                           "tokens %d and %d have the same score, so ranks cannot stand for scores",
                           previous->id, list[i].id);
        previous = &list[i];
    }
    return ERR_OK;
}

enum err_code llama2c_read_tokenizer(const void *bytes, size_t len, const char *source,
                                     struct tokenizer **tokenizer_out, struct err *err)
{
    if (len < LENGTH_BYTES)
        return err_set(err, ERR_CORRUPT, "read '%s': %zu bytes are too few", source, len);
    struct tokenizer_builder builder;
    struct entries entries = {.list = calloc(len / ENTRY_HEAD_BYTES + 1, sizeof *entries.list)};
    ASSERT(entries.list != NULL);
    tokenizer_builder_begin(&builder,
                            IMAGE_BYTE_FALLBACK | IMAGE_PREPEND | IMAGE_STRIP | IMAGE_FUSE_UNK,
                            SPLIT_DIGITS_ONE);
    enum err_code rc = read_entries(&builder, bytes, len, &entries, err);
    if (rc == ERR_OK)
        rc = rank_merges(&builder, &entries, err);
    if (rc == ERR_OK)
        rc = tokenizer_builder_finish(&builder, NULL, NULL, tokenizer_out, err);
    free(entries.list);
    tokenizer_builder_release(&builder);
    return rc == ERR_OK ? rc : err_wrap(err, "read '%s'", source);
}
