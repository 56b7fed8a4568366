/* Any bytes as text: both kinds of tokenizer encode them, count agrees, and byte level gives the
 * bytes back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
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

static void check(struct tokenizer *t, struct str text, bool comes_back)
{
    struct err err;
    struct token_list list = {0};
    struct strbuf back = {0};
    size_t count = 0;
    ASSERT(tokenizer_encode(t, text, &list, &err) == ERR_OK);
    ASSERT(tokenizer_count(t, text, &count, &err) == ERR_OK);
    ASSERT(count == list.count);
    for (size_t i = 0; i < list.count; i++)
        ASSERT(!tokenizer_is_special(t, list.ids[i]));
    ASSERT(tokenizer_decode(t, list.ids, list.count, &back, &err) == ERR_OK);
    if (comes_back) {
        ASSERT(back.len == text.len);
        ASSERT(text.len == 0 || memcmp(back.data, text.data, text.len) == 0);
    }
    strbuf_release(&back);
    token_list_release(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct tokenizer *byte_level;
    static struct tokenizer *byte_fallback;
    if (!byte_level) {
        byte_level = load(GOLDEN "tokenizer/license-1024.json");
        byte_fallback = load(GOLDEN "stories260K/tokenizer.json");
    }
    struct str text = {(const char *)data, len};
    check(byte_level, text, true);
    check(byte_fallback, text, false); /* U+2581 comes back as a space */
    return 0;
}
