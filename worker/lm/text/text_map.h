/* Text made out of another text, with the place in the original that each byte comes from. */
#ifndef TRIAD_TEXT_MAP_H
#define TRIAD_TEXT_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "str.h"

/* Bytes begin … end - 1 of the original. */
struct text_place {
    uint32_t begin;
    uint32_t end;
};

/* Zero-initialise; free with text_map_release(). Originals have fewer than 2^32 bytes. */
struct text_map {
    struct strbuf text;
    struct text_place *places; /* of each byte of text; only while tracked */
    size_t places_cap;
    bool is_tracked;
};

void text_map_release(struct text_map *map);
/* Empty it. Untracked, it is a plain buffer and costs as little. */
void text_map_begin(struct text_map *map, bool is_tracked);
/* Append bytes that stand for `place` of the original as a whole. */
void text_map_put(struct text_map *map, const char *bytes, size_t len, struct text_place place);
/* Append a part of the original as it is. */
void text_map_copy(struct text_map *map, struct str original, struct text_place part);
/* The place in the original of a part of the text that is not empty. */
struct text_place text_map_find(const struct text_map *map, struct text_place part);

#endif
