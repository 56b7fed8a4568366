/* All tables of a tokenizer in one block of bytes without pointers: built once in memory, and the
 * same bytes serve as a file that is mapped (tokenizer_cache.h).
 *
 * Layout: struct image_header, then sections, each at a multiple of 8 bytes:
 *   ENDS         uint32 per token: where its bytes end in TEXTS (they begin where the last ended)
 *   FLAGS        uint8 per token: enum token_flag
 *   TEXTS        the bytes of all tokens, as they decode
 *   WORDS        uint32 slots, a power of two: 0, or 1 + the id of a token that plain text can
 * give; open addressing by its bytes PAIRS        struct image_pair slots, a power of two; open
 * addressing by left and right JOINS        8192 bytes, a bit per pair of bytes: a merge joins a
 * token that ends in the first with one that begins with the second (byte fallback cuts text where
 * none can) ADDED        struct image_added per added token CONTENTS     the bytes of added tokens,
 * as they stand in a text PARTS        the file's normalizer, pre_tokenizer, post_processor,
 * decoder and unk_token, as JSON, each ended by a NUL Numbers are the machine's own; the header
 * tells when another machine wrote them. */
#ifndef TRIAD_TOKENIZER_IMAGE_H
#define TRIAD_TOKENIZER_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "hash.h"
#include "str.h"

enum token_flag {
    TOKEN_IN_MODEL = 1,   /* has an entry in model.vocab */
    TOKEN_IS_BYTE = 2,    /* <0x0A> of a byte-fallback vocabulary */
    TOKEN_IS_ADDED = 4,   /* is in added_tokens */
    TOKEN_IS_SPECIAL = 8, /* and there "special" */
};

enum image_flag {
    IMAGE_BYTE_FALLBACK = 1, /* else byte level */
    IMAGE_IGNORE_MERGES = 2, /* a word that is a token as a whole needs no merging */
    IMAGE_NFC = 4,
    IMAGE_PREPEND = 8, /* a marked space in front of every piece of text */
    IMAGE_STRIP = 16,  /* decoding drops one space in front */
    IMAGE_FUSE_UNK = 32,
    IMAGE_FLAGS_ALL = 63,
};

enum image_section {
    SECTION_ENDS,
    SECTION_FLAGS,
    SECTION_TEXTS,
    SECTION_WORDS,
    SECTION_PAIRS,
    SECTION_JOINS,
    SECTION_ADDED,
    SECTION_CONTENTS,
    SECTION_PARTS,
    SECTION_COUNT,
};

enum { IMAGE_VERSION = 1, IMAGE_BYTE_ORDER = 0x01020304, IMAGE_JOINS_BYTES = 256 * 256 / 8 };

enum image_part {
    PART_NORMALIZER,
    PART_PRE_TOKENIZER,
    PART_POST_PROCESSOR,
    PART_DECODER,
    PART_UNK_TOKEN,
    PART_COUNT,
};

/* The merge of two adjacent tokens. A free slot has left -1. */
struct image_pair {
    int32_t left;
    int32_t right;
    uint32_t rank; /* the lowest merges first */
    int32_t result;
};

struct image_added {
    int32_t id;
    uint32_t content_end; /* its bytes in CONTENTS begin where the last one's ended */
};

struct image_span {
    uint64_t offset; /* from the start of the image */
    uint64_t bytes;
};

struct image_header {
    char magic[8];
    uint32_t version;
    uint32_t byte_order;  /* IMAGE_BYTE_ORDER as the writer had it */
    struct digest source; /* of the tokenizer.json that it was made from; none when it was not */
    uint64_t total_bytes;
    uint32_t crc;        /* of everything behind the header (CRC-32C) */
    uint32_t header_crc; /* of the header with this field 0 */
    uint32_t flags;      /* enum image_flag */
    uint32_t pattern;    /* enum split_pattern; byte level only */
    uint32_t token_count;
    uint32_t merge_count;
    uint32_t added_count;
    uint32_t word_slots;
    uint32_t pair_slots;
    uint32_t padding;
    int32_t byte_ids[256]; /* the token of each single byte */
    struct image_span sections[SECTION_COUNT];
};

/* Pointers into a block that somebody else owns. */
struct tokenizer_image {
    const struct image_header *header;
    const uint32_t *ends;
    const uint8_t *flags;
    const char *texts;
    const uint32_t *words;
    const struct image_pair *pairs;
    const uint8_t *joins;
    const struct image_added *added;
    const char *contents;
    const char *parts;
};

/* How many bytes an image takes whose header says counts, flags and sections' bytes; fills in the
 * offsets. */
size_t image_lay_out(struct image_header *header);
/* Fill in what does not depend on the tables: magic, version, checksums. */
void image_seal(void *block);
/* Take a block that we built. */
void image_open_own(const void *block, struct tokenizer_image *out);
/* Take bytes from outside: everything that encoding and decoding rely on is checked, so that
 * whatever they hold, nothing is read out of bounds and every call ends. ERR_VERSION when another
 * version or machine wrote them, ERR_CORRUPT when they are damaged. `block` is aligned to 8 bytes.
 */
NODISCARD enum err_code image_open(const void *block, size_t bytes, struct tokenizer_image *out,
                                   struct err *err);

/* The bytes of token `id`, which is in the image. */
struct str image_text(const struct tokenizer_image *image, int32_t id);
/* The token that this text is as a whole and that plain text can give, or -1. */
int32_t image_find_word(const struct tokenizer_image *image, struct str text);
/* The merge of a pair, or NULL. */
const struct image_pair *image_find_pair(const struct tokenizer_image *image, int32_t left,
                                         int32_t right);
struct str image_content(const struct tokenizer_image *image, uint32_t added);
/* One of PARTS; "" when the image has none. */
const char *image_part(const struct tokenizer_image *image, enum image_part part);

/* Can a merge join a token that ends in `left` with one that begins with `right`? */
bool image_joins(const struct tokenizer_image *image, uint8_t left, uint8_t right);

/* For builders: enter into tables that are all free at first and never more than half full. */
void image_put_word(uint32_t *slots, uint32_t slot_count, const struct tokenizer_image *image,
                    int32_t id);
/* False when the pair is there already. */
bool image_put_pair(struct image_pair *slots, uint32_t slot_count, struct image_pair pair);
/* The power of two for `count` entries. */
uint32_t image_slots_for(uint32_t count);

#endif
