#include "text_map.h"

#include <stdlib.h>

#include "check.h"

void text_map_release(struct text_map *map)
{
    strbuf_release(&map->text);
    free(map->places);
    *map = (struct text_map){0};
}

void text_map_begin(struct text_map *map, bool is_tracked)
{
    strbuf_clear(&map->text);
    map->is_tracked = is_tracked;
}

/* Room for the places of `len` more bytes; NULL when they are not tracked. */
static struct text_place *more_places(struct text_map *map, size_t len)
{
    if (!map->is_tracked || len == 0)
        return NULL;
    size_t needed = map->text.len + len;
    if (needed > map->places_cap) {
        map->places_cap = needed > 2 * map->places_cap ? needed + 64 : 2 * map->places_cap;
        map->places = realloc(map->places, map->places_cap * sizeof *map->places);
        ASSERT(map->places != NULL);
    }
    return map->places + map->text.len;
}

void text_map_put(struct text_map *map, const char *bytes, size_t len, struct text_place place)
{
    struct text_place *places = more_places(map, len);
    for (size_t i = 0; places && i < len; i++)
        places[i] = place;
    strbuf_append(&map->text, bytes, len);
}

void text_map_copy(struct text_map *map, struct str original, struct text_place part)
{
    size_t len = part.end - part.begin;
    struct text_place *places = more_places(map, len);
    for (uint32_t i = 0; places && i < len; i++)
        places[i] = (struct text_place){part.begin + i, part.begin + i + 1};
    strbuf_append(&map->text, original.data + part.begin, len);
}

struct text_place text_map_find(const struct text_map *map, struct text_place part)
{
    ASSERT(map->is_tracked);
    ASSERT(part.begin < part.end);
    ASSERT(part.end <= map->text.len);
    return (struct text_place){map->places[part.begin].begin, map->places[part.end - 1].end};
}
