#include "tokenizer_image.h"

#include <string.h>

#include "check.h"
#include "text_split.h"

static const char magic[8] = {'T', 'r', 'i', 'T', 'o', 'k', '\r', '\n'};

enum { ALIGNMENT = 8 };

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

size_t image_lay_out(struct image_header *header)
{
    size_t at = aligned(sizeof *header);
    for (int i = 0; i < SECTION_COUNT; i++) {
        header->sections[i].offset = at;
        at = aligned(at + header->sections[i].bytes);
    }
    header->total_bytes = at;
    return at;
}

static uint32_t header_crc(const struct image_header *header)
{
    struct image_header copy = *header;
    copy.header_crc = 0;
    return hash_crc32c(&copy, sizeof copy);
}

void image_seal(void *block)
{
    struct image_header *header = block;
    memcpy(header->magic, magic, sizeof magic);
    header->version = IMAGE_VERSION;
    header->byte_order = IMAGE_BYTE_ORDER;
    header->crc = hash_crc32c(header + 1, header->total_bytes - sizeof *header);
    header->header_crc = header_crc(header);
}

void image_open_own(const void *block, struct tokenizer_image *out)
{
    const char *bytes = block;
    const struct image_header *header = block;
    const struct image_span *sections = header->sections;
    out->header = header;
    out->ends = (const void *)(bytes + sections[SECTION_ENDS].offset);
    out->flags = (const void *)(bytes + sections[SECTION_FLAGS].offset);
    out->texts = bytes + sections[SECTION_TEXTS].offset;
    out->words = (const void *)(bytes + sections[SECTION_WORDS].offset);
    out->pairs = (const void *)(bytes + sections[SECTION_PAIRS].offset);
    out->joins = (const void *)(bytes + sections[SECTION_JOINS].offset);
    out->added = (const void *)(bytes + sections[SECTION_ADDED].offset);
    out->contents = bytes + sections[SECTION_CONTENTS].offset;
    out->parts = bytes + sections[SECTION_PARTS].offset;
}

static enum err_code damaged(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "the tables are damaged (%s)", what);
}

static enum err_code check_header(const void *block, size_t bytes, struct err *err)
{
    const struct image_header *header = block;
    if (bytes < sizeof *header || memcmp(header->magic, magic, sizeof magic) != 0)
        return damaged(err, "no header");
    if (header->version != IMAGE_VERSION || header->byte_order != IMAGE_BYTE_ORDER)
        return err_set(err, ERR_VERSION, "the tables are of another version or machine");
    if (header->header_crc != header_crc(header) || header->total_bytes != bytes)
        return damaged(err, "header");
    if (header->crc != hash_crc32c(header + 1, bytes - sizeof *header))
        return damaged(err, "checksum");
    return ERR_OK;
}

static bool is_power_of_two(uint32_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* Is it a kind that there is? What belongs to one kind means nothing to the other. */
static bool flags_fit(uint32_t flags)
{
    const uint32_t level = IMAGE_NFC | IMAGE_IGNORE_MERGES;
    const uint32_t fallback = IMAGE_PREPEND | IMAGE_STRIP;
    uint32_t foreign = flags & IMAGE_BYTE_FALLBACK ? level : fallback;
    return (flags & foreign) == 0 && (flags & ~(uint32_t)IMAGE_FLAGS_ALL) == 0;
}

/* Do the sections lie where image_lay_out() puts them, with the sizes that the counts ask for? */
static bool sections_fit(const struct image_header *header)
{
    const uint64_t wanted[SECTION_COUNT] = {
        [SECTION_ENDS] = (uint64_t)header->token_count * sizeof(uint32_t),
        [SECTION_FLAGS] = header->token_count,
        [SECTION_WORDS] = (uint64_t)header->word_slots * sizeof(uint32_t),
        [SECTION_PAIRS] = (uint64_t)header->pair_slots * sizeof(struct image_pair),
        [SECTION_JOINS] = IMAGE_JOINS_BYTES,
        [SECTION_ADDED] = (uint64_t)header->added_count * sizeof(struct image_added),
    };
    struct image_header copy = *header;
    for (int i = 0; i < SECTION_COUNT; i++) {
        bool is_free = i == SECTION_TEXTS || i == SECTION_CONTENTS || i == SECTION_PARTS;
        if (header->sections[i].bytes > header->total_bytes ||
            (!is_free && header->sections[i].bytes != wanted[i]))
            return false;
    }
    if (image_lay_out(&copy) != header->total_bytes)
        return false;
    for (int i = 0; i < SECTION_COUNT; i++) {
        if (copy.sections[i].offset != header->sections[i].offset)
            return false;
    }
    return is_power_of_two(header->word_slots) && is_power_of_two(header->pair_slots) &&
           header->merge_count <= header->pair_slots && header->token_count > 0 &&
           header->token_count <= INT32_MAX && flags_fit(header->flags) &&
           header->pattern < SPLIT_PATTERN_COUNT;
}

static bool tokens_fit(const struct tokenizer_image *image)
{
    const struct image_header *header = image->header;
    uint32_t last = 0;
    for (uint32_t i = 0; i < header->token_count; i++) {
        if (image->ends[i] < last)
            return false;
        last = image->ends[i];
    }
    if (last != header->sections[SECTION_TEXTS].bytes)
        return false;
    for (int byte = 0; byte < 256; byte++) {
        int32_t id = header->byte_ids[byte];
        if (id < 0 || (uint32_t)id >= header->token_count || image_text(image, id).len != 1)
            return false;
    }
    last = 0;
    for (uint32_t i = 0; i < header->added_count; i++) {
        const struct image_added *added = &image->added[i];
        if (added->id < 0 || (uint32_t)added->id >= header->token_count ||
            added->content_end <= last)
            return false;
        last = added->content_end;
    }
    return last == header->sections[SECTION_CONTENTS].bytes;
}

/* At least one slot is free, so that every search ends. */
static bool slots_fit(const struct tokenizer_image *image)
{
    const struct image_header *header = image->header;
    bool has_room = false;
    for (uint32_t i = 0; i < header->word_slots; i++) {
        has_room = has_room || image->words[i] == 0;
        if (image->words[i] > header->token_count)
            return false;
    }
    if (!has_room)
        return false;
    has_room = false;
    uint32_t count = header->token_count;
    for (uint32_t i = 0; i < header->pair_slots; i++) {
        const struct image_pair *pair = &image->pairs[i];
        if (pair->left == -1) {
            has_room = true;
            continue;
        }
        /* The lengths must add up, or the places of tokens in the text would be wrong. */
        if ((uint32_t)pair->left >= count || (uint32_t)pair->right >= count ||
            (uint32_t)pair->result >= count || pair->rank >= header->merge_count ||
            image_text(image, pair->left).len + image_text(image, pair->right).len !=
                image_text(image, pair->result).len)
            return false;
    }
    return has_room;
}

static bool parts_fit(const struct tokenizer_image *image)
{
    uint64_t bytes = image->header->sections[SECTION_PARTS].bytes;
    int ends = 0;
    for (uint64_t i = 0; i < bytes; i++)
        ends += image->parts[i] == '\0';
    return ends == PART_COUNT && image->parts[bytes - 1] == '\0';
}

enum err_code image_open(const void *block, size_t bytes, struct tokenizer_image *out,
                         struct err *err)
{
    enum err_code rc = check_header(block, bytes, err);
    if (rc != ERR_OK)
        return rc;
    if (!sections_fit(block))
        return damaged(err, "sections");
    image_open_own(block, out);
    if (!tokens_fit(out))
        return damaged(err, "tokens");
    if (!slots_fit(out))
        return damaged(err, "search tables");
    return parts_fit(out) ? ERR_OK : damaged(err, "parts");
}

struct str image_text(const struct tokenizer_image *image, int32_t id)
{
    uint32_t begin = id > 0 ? image->ends[id - 1] : 0;
    return (struct str){image->texts + begin, image->ends[id] - begin};
}

/* Multiply and fold eight bytes at a time (the finaliser of SplitMix64). The position of slots in
 * files depends on it: a change needs a new IMAGE_VERSION. */
static uint32_t hash_text(struct str text)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ text.len;
    for (size_t at = 0; at < text.len; at += sizeof h) {
        uint64_t word = 0;
        size_t left = text.len - at;
        memcpy(&word, text.data + at, left < sizeof word ? left : sizeof word);
        h = (h ^ word) * 0xbf58476d1ce4e5b9u;
        h ^= h >> 32;
    }
    h *= 0x94d049bb133111ebu;
    return (uint32_t)(h >> 32);
}

static uint32_t hash_pair(int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 32) * 0x94d049bb133111ebu;
    return (uint32_t)(h >> 32);
}

int32_t image_find_word(const struct tokenizer_image *image, struct str text)
{
    uint32_t mask = image->header->word_slots - 1;
    for (uint32_t slot = hash_text(text) & mask; image->words[slot] != 0;
         slot = (slot + 1) & mask) {
        int32_t id = (int32_t)(image->words[slot] - 1);
        if (str_equal(image_text(image, id), text))
            return id;
    }
    return -1;
}

const struct image_pair *image_find_pair(const struct tokenizer_image *image, int32_t left,
                                         int32_t right)
{
    uint32_t mask = image->header->pair_slots - 1;
    for (uint32_t slot = hash_pair(left, right) & mask; image->pairs[slot].left != -1;
         slot = (slot + 1) & mask) {
        const struct image_pair *pair = &image->pairs[slot];
        if (pair->left == left && pair->right == right)
            return pair;
    }
    return NULL;
}

struct str image_content(const struct tokenizer_image *image, uint32_t added)
{
    uint32_t begin = added > 0 ? image->added[added - 1].content_end : 0;
    return (struct str){image->contents + begin, image->added[added].content_end - begin};
}

const char *image_part(const struct tokenizer_image *image, enum image_part part)
{
    const char *at = image->parts;
    for (int i = 0; i < (int)part; i++)
        at += strlen(at) + 1;
    return at;
}

bool image_joins(const struct tokenizer_image *image, uint8_t left, uint8_t right)
{
    uint32_t bit = (uint32_t)left << 8 | right;
    return image->joins[bit / 8] >> (bit % 8) & 1;
}

void image_put_word(uint32_t *slots, uint32_t slot_count, const struct tokenizer_image *image,
                    int32_t id)
{
    uint32_t slot = hash_text(image_text(image, id)) & (slot_count - 1);
    while (slots[slot] != 0)
        slot = (slot + 1) & (slot_count - 1);
    slots[slot] = (uint32_t)id + 1;
}

bool image_put_pair(struct image_pair *slots, uint32_t slot_count, struct image_pair pair)
{
    uint32_t slot = hash_pair(pair.left, pair.right) & (slot_count - 1);
    for (; slots[slot].left != -1; slot = (slot + 1) & (slot_count - 1)) {
        if (slots[slot].left == pair.left && slots[slot].right == pair.right)
            return false;
    }
    slots[slot] = pair;
    return true;
}

uint32_t image_slots_for(uint32_t count)
{
    uint32_t slots = 64;
    while (slots < 2 * count)
        slots *= 2;
    return slots;
}
