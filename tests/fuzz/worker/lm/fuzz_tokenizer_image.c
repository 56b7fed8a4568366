/* Tables from a cache file that somebody meddled with. The input is a list of changes (where, what)
 * to a good image, whose checksums are then set right, so that only the other checks stand between
 * it and encoding; an input that begins with 0xff is taken as the file itself. What is accepted
 * must encode, decode and print without reading out of bounds, and every call must end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "tokenizer_impl.h"

#define GOLDEN TRIAD_SOURCE_DIR "/tests/golden/"

enum { CHANGE_BYTES = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void use(struct tokenizer *t)
{
    struct err err;
    struct token_list list = {0};
    struct place_list places = {0};
    struct strbuf out = {0};
    struct str text = str_from(
        "The license, <s> \u2581\u00e9 <|eot_id|> 1234\n\n\xff aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    if (tokenizer_encode_with(t, text, ADDED_ALL, &list, &places, &err) == ERR_OK) {
        ASSERT(list.count == places.count);
        ASSERT(tokenizer_decode_text(t, list.ids, list.count, false, &out, &err) == ERR_OK);
    }
    strbuf_clear(&out);
    tokenizer_print(t, &out);
    token_list_release(&list);
    place_list_release(&places);
    strbuf_release(&out);
}

/* Takes the block. */
static void try_image(void *block, size_t bytes)
{
    struct err err;
    struct tokenizer_image image;
    struct tokenizer *t = NULL;
    if (image_open(block, bytes, &image, &err) != ERR_OK) {
        free(block);
        return;
    }
    if (tokenizer_open_image(block, 0, &image, &t, &err) == ERR_OK)
        use(t);
    tokenizer_free(t);
}

static void *copy_of(const void *bytes, size_t len)
{
    void *copy = malloc(len ? len : 1);
    ASSERT(copy != NULL);
    if (len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

/* Where most decisions are: the header; else anywhere. */
static size_t place_of(const uint8_t *change, size_t total)
{
    size_t at = (size_t)change[0] << 8 | change[1];
    return change[2] & 1 ? at % sizeof(struct image_header) : at * 37 % total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct tokenizer *good[2];
    struct err err;
    if (!good[0]) {
        ASSERT(tokenizer_load(GOLDEN "tokenizer/license-1024.json", &good[0], &err) == ERR_OK);
        ASSERT(tokenizer_load(GOLDEN "stories260K/tokenizer.json", &good[1], &err) == ERR_OK);
    }
    if (len > 0 && data[0] == 0xff) {
        try_image(copy_of(data, len), len);
        return 0;
    }
    const struct tokenizer *from = good[len & 1];
    size_t total = from->image.header->total_bytes;
    struct image_header *block = copy_of(from->block, total);
    for (size_t i = 0; i + CHANGE_BYTES <= len; i += CHANGE_BYTES)
        ((uint8_t *)block)[place_of(data + i, total)] = data[i + 3];
    /* image_seal() reads as many bytes as the header says. */
    if (block->total_bytes == total)
        image_seal(block);
    try_image(block, total);
    return 0;
}
