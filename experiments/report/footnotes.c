#include "footnotes.h"

#include <string.h>

size_t footnote_number(struct footnotes *notes, const char *text, struct arena *arena)
{
    struct footnote **place = &notes->first;
    size_t number = 1;
    for (; *place; place = &(*place)->next, number++)
        if (strcmp((*place)->text, text) == 0)
            return number;
    *place = arena_alloc(arena, sizeof **place);
    (*place)->text = arena_strdup(arena, text);
    return number;
}
