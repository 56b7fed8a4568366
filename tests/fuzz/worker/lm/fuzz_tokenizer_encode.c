/* Any bytes as text, with every kind of tokenizer: plain text gives no special token and comes back
 * in its normal form, counting agrees, places are in order and inside the text, and encoding what
 * came back changes nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "file.h"
#include "text_normal.h"
#include "tokenizer.h"

#define GOLDEN TRIAD_SOURCE_DIR "/tests/golden/"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Loaded once: a fuzz target is a program of its own. */
static struct tokenizer *load(const char *path)
{
    struct err err;
    struct tokenizer *t = NULL;
    ASSERT(tokenizer_load(path, &t, &err) == ERR_OK);
    return t;
}

/* The byte-level one with form C and whole words. */
static struct tokenizer *load_normalizing(void)
{
    struct err err;
    char *text = NULL;
    size_t len = 0;
    struct strbuf changed = {0};
    struct tokenizer *t = NULL;
    static const char off[] = "\"normalizer\": null";
    ASSERT(file_read(GOLDEN "tokenizer/license-1024.json", 0, &text, &len, &err) == ERR_OK);
    const char *at = strstr(text, off);
    ASSERT(at != NULL);
    strbuf_append(&changed, text, (size_t)(at - text));
    strbuf_puts(&changed, "\"normalizer\": {\"type\": \"NFC\"}");
    strbuf_puts(&changed, at + sizeof off - 1);
    ASSERT(tokenizer_parse(changed.data, changed.len, "nfc", &t, &err) == ERR_OK);
    strbuf_release(&changed);
    free(text);
    return t;
}

static void check_places(struct tokenizer *t, struct str text)
{
    struct err err;
    struct token_list list = {0};
    struct place_list places = {0};
    ASSERT(tokenizer_encode_with(t, text, ADDED_ALL, &list, &places, &err) == ERR_OK);
    ASSERT(places.count == list.count);
    uint32_t last = 0;
    for (size_t i = 0; i < places.count; i++) {
        ASSERT(places.places[i].begin >= last);
        ASSERT(places.places[i].begin <= places.places[i].end);
        ASSERT(places.places[i].end <= text.len);
        last = places.places[i].begin;
    }
    token_list_release(&list);
    place_list_release(&places);
}

/* `back` is emptied first. */
static void there_and_back(struct tokenizer *t, struct str text, struct strbuf *back)
{
    struct err err;
    struct token_list list = {0};
    size_t count = 0;
    ASSERT(tokenizer_encode(t, text, &list, &err) == ERR_OK);
    ASSERT(tokenizer_count(t, text, &count, &err) == ERR_OK);
    ASSERT(count == list.count);
    for (size_t i = 0; i < list.count; i++)
        ASSERT(!tokenizer_is_special(t, list.ids[i]));
    strbuf_clear(back);
    ASSERT(tokenizer_decode(t, list.ids, list.count, back, &err) == ERR_OK);
    token_list_release(&list);
}

static void check(struct tokenizer *t, struct str text, struct str wanted)
{
    struct strbuf back = {0};
    struct strbuf again = {0};
    there_and_back(t, text, &back);
    ASSERT(back.len == wanted.len);
    ASSERT(back.len == 0 || memcmp(back.data, wanted.data, back.len) == 0);
    there_and_back(t, (struct str){strbuf_text(&back), back.len}, &again);
    ASSERT(again.len == back.len);
    ASSERT(back.len == 0 || memcmp(back.data, again.data, back.len) == 0);
    check_places(t, text);
    strbuf_release(&back);
    strbuf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct tokenizer *byte_level;
    static struct tokenizer *normalizing;
    static struct tokenizer *byte_fallback;
    if (!byte_level) {
        byte_level = load(GOLDEN "tokenizer/license-1024.json");
        byte_fallback = load(GOLDEN "stories260K/tokenizer.json");
        normalizing = load_normalizing();
    }
    struct text_map repaired = {0};
    struct text_map normal = {0};
    struct text_map marked = {0};
    struct nfc_space space = {0};
    size_t replaced = 0;
    struct str text = {(const char *)data, len};
    struct str wanted = text;
    if (text_repair(text, &repaired, &replaced))
        wanted = (struct str){repaired.text.data, repaired.text.len};
    check(byte_level, text, wanted);
    bool is_changed = text_nfc(wanted, &space, &normal);
    check(normalizing, text, is_changed ? (struct str){normal.text.data, normal.text.len} : wanted);
    is_changed = text_join_marks(wanted, false, &marked);
    check(byte_fallback, text,
          is_changed ? (struct str){marked.text.data, marked.text.len} : wanted);
    text_map_release(&repaired);
    text_map_release(&normal);
    text_map_release(&marked);
    nfc_space_release(&space);
    return 0;
}
