/* Any bytes as token ids (two each), with both kinds of tokenizer: ids outside the vocabulary are
 * refused, all others decode to UTF-8, and special tokens left out make it no longer. */
#include <stdint.h>
#include <stdlib.h>

#include "check.h"
#include "tokenizer.h"

#define GOLDEN TRIAD_SOURCE_DIR "/tests/golden/"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct tokenizer *t, const int32_t *ids, size_t count)
{
    struct err err;
    struct strbuf bytes = {0};
    struct strbuf text = {0};
    struct strbuf without = {0};
    bool is_known = true;
    for (size_t i = 0; i < count; i++)
        is_known = is_known && ids[i] >= 0 && ids[i] < tokenizer_vocabulary(t);
    ASSERT((tokenizer_decode(t, ids, count, &bytes, &err) == ERR_OK) == is_known);
    ASSERT((tokenizer_decode_text(t, ids, count, false, &text, &err) == ERR_OK) == is_known);
    ASSERT(str_is_utf8(strbuf_text(&text), text.len));
    if (str_is_utf8(strbuf_text(&bytes), bytes.len) && is_known)
        ASSERT(text.len <= 3 * bytes.len);
    if (is_known)
        ASSERT(tokenizer_decode_text(t, ids, count, true, &without, &err) == ERR_OK);
    ASSERT(str_is_utf8(strbuf_text(&without), without.len));
    strbuf_release(&bytes);
    strbuf_release(&text);
    strbuf_release(&without);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct tokenizer *level;
    static struct tokenizer *fallback;
    struct err err;
    if (!level) {
        ASSERT(tokenizer_load(GOLDEN "tokenizer/license-1024.json", &level, &err) == ERR_OK);
        ASSERT(tokenizer_load(GOLDEN "stories260K/tokenizer.json", &fallback, &err) == ERR_OK);
    }
    size_t count = len / 2;
    int32_t *ids = malloc((count + 1) * sizeof *ids);
    ASSERT(ids != NULL);
    /* Most inputs have only known ids, a few have one too large or negative. */
    int32_t range = len % 2 ? 1100 : 512;
    for (size_t i = 0; i < count; i++)
        ids[i] = (data[2 * i] << 8 | data[2 * i + 1]) % range - (len % 64 == 63);
    check(level, ids, count);
    check(fallback, ids, count);
    free(ids);
    return 0;
}
