#include "text_normal.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "check.h"
#include "utf8.h"

enum {
    DECOMPOSED_MAX = 4, /* code points that one character decomposes to canonically, at most */
    SORT_SHORT = 32,    /* marks on one character that insertion sorts well */
};

static struct text_place place(size_t begin, size_t end)
{
    return (struct text_place){(uint32_t)begin, (uint32_t)end};
}

bool text_repair(struct str text, struct text_map *out, size_t *replaced)
{
    size_t valid = utf8_valid_prefix(text.data, text.len);
    if (valid == text.len)
        return false;
    for (size_t at = 0; at < text.len;) {
        text_map_copy(out, text, place(at, at + valid));
        at += valid;
        if (at == text.len)
            break;
        size_t bad = utf8_ill_formed(text.data + at, text.len - at);
        text_map_put(out, "\xef\xbf\xbd", 3, place(at, at + bad));
        ++*replaced;
        at += bad;
        valid = utf8_valid_prefix(text.data + at, text.len - at);
    }
    return true;
}

void nfc_space_release(struct nfc_space *space)
{
    free(space->codepoints);
    *space = (struct nfc_space){0};
}

static const utf8proc_property_t *property_of(int32_t codepoint)
{
    return utf8proc_get_property(codepoint);
}

/* The canonical decomposition, all the way down. */
static size_t decompose(int32_t codepoint, int32_t out[DECOMPOSED_MAX])
{
    int last_class = 0;
    utf8proc_ssize_t count =
        utf8proc_decompose_char(codepoint, out, DECOMPOSED_MAX, UTF8PROC_DECOMPOSE, &last_class);
    ASSERT(count > 0);
    ASSERT(count <= DECOMPOSED_MAX);
    return (size_t)count;
}

static bool decomposes(const utf8proc_property_t *property)
{
    return property->decomp_seqindex != UINT16_MAX && property->decomp_type == 0;
}

/* May it combine with, or move past, what stands before it? All marks and the jamo that follow
 * others; that is more than need be, and never too little. */
static bool joins_left(int32_t codepoint)
{
    const utf8proc_property_t *p = property_of(codepoint);
    bool is_mark = p->category == UTF8PROC_CATEGORY_MN || p->category == UTF8PROC_CATEGORY_MC ||
                   p->category == UTF8PROC_CATEGORY_ME;
    return is_mark || p->combining_class != 0 || p->boundclass == UTF8PROC_BOUNDCLASS_V ||
           p->boundclass == UTF8PROC_BOUNDCLASS_T;
}

/* Text may be cut before it: normal forms of the two sides are the normal form of the whole. */
static bool begins_unit(int32_t codepoint)
{
    /* U+11A7 stands before the first final jamo and is none (Unicode 15 §3.12, TIndex > 0), but
     * utf8proc composes it with a syllable: it never gets to see the two together. */
    if (codepoint == 0x11a7)
        return true;
    if (!decomposes(property_of(codepoint)))
        return !joins_left(codepoint);
    int32_t parts[DECOMPOSED_MAX];
    decompose(codepoint, parts);
    return !joins_left(parts[0]);
}

static void reserve(struct nfc_space *space, size_t count)
{
    if (count <= space->cap)
        return;
    space->cap = count > 2 * space->cap ? count : 2 * space->cap;
    space->codepoints = realloc(space->codepoints, space->cap * sizeof *space->codepoints);
    ASSERT(space->codepoints != NULL);
}

/* Canonical ordering (UAX #15, D109): marks by combining class, equals in their order. */
struct ranked {
    int32_t codepoint;
    int32_t class;
    size_t index;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;
    if (x->class != y->class)
        return x->class < y->class ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void sort_marks(int32_t *marks, size_t count)
{
    if (count > SORT_SHORT) {
        struct ranked *list = malloc(count * sizeof *list);
        ASSERT(list != NULL);
        for (size_t i = 0; i < count; i++)
            list[i] = (struct ranked){marks[i], property_of(marks[i])->combining_class, i};
        qsort(list, count, sizeof *list, compare_ranked);
        for (size_t i = 0; i < count; i++)
            marks[i] = list[i].codepoint;
        free(list);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        int32_t mark = marks[i];
        int class = property_of(mark)->combining_class;
        size_t at = i;
        for (; at > 0 && property_of(marks[at - 1])->combining_class > class; at--)
            marks[at] = marks[at - 1];
        marks[at] = mark;
    }
}

static void order(int32_t *codepoints, size_t count)
{
    for (size_t at = 0; at < count;) {
        size_t end = at;
        while (end < count && property_of(codepoints[end])->combining_class != 0)
            end++;
        sort_marks(codepoints + at, end - at);
        at = end + 1;
    }
}

/* Are these the characters of the unit as it stands? */
static bool is_same(const int32_t *codepoints, size_t count, struct str text,
                    struct text_place unit)
{
    size_t at = unit.begin;
    for (size_t i = 0; i < count && at < unit.end; i++) {
        uint32_t codepoint = 0;
        at += utf8_decode(text.data + at, unit.end - at, &codepoint);
        if ((int32_t)codepoint != codepoints[i])
            return false;
        if (at == unit.end)
            return i + 1 == count;
    }
    return false;
}

/* Normalise one unit. */
static void put_unit(struct str text, struct text_place unit, struct nfc_space *space,
                     struct text_map *out)
{
    size_t count = 0;
    for (size_t at = unit.begin; at < unit.end;) {
        uint32_t codepoint = 0;
        at += utf8_decode(text.data + at, unit.end - at, &codepoint);
        reserve(space, count + DECOMPOSED_MAX);
        count += decompose((int32_t)codepoint, space->codepoints + count);
    }
    order(space->codepoints, count);
    /* STABLE: with the composition exclusions. */
    utf8proc_ssize_t composed = utf8proc_normalize_utf32(space->codepoints, (utf8proc_ssize_t)count,
                                                         UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    ASSERT(composed > 0);
    if (is_same(space->codepoints, (size_t)composed, text, unit)) {
        text_map_copy(out, text, unit);
        return;
    }
    for (utf8proc_ssize_t i = 0; i < composed; i++) {
        char bytes[4];
        size_t len = utf8_encode((uint32_t)space->codepoints[i], bytes);
        text_map_put(out, bytes, len, unit);
    }
}

/* Find the next unit that normalising may change, at `from` or after; false when there is none. */
static bool next_unit(struct str text, size_t from, struct text_place *unit_out)
{
    size_t begin = from; /* of the unit that we are in */
    bool is_suspect = false;
    for (size_t at = from; at < text.len;) {
        uint32_t codepoint = 0;
        if ((unsigned char)text.data[at] < 0x80 && !is_suspect) {
            size_t ascii = utf8_ascii_prefix(text.data + at, text.len - at);
            begin = at + ascii - 1; /* a mark may follow the last one */
            at += ascii;
            continue;
        }
        size_t len = utf8_decode(text.data + at, text.len - at, &codepoint);
        ASSERT(len > 0);
        if (begins_unit((int32_t)codepoint)) {
            if (is_suspect) {
                *unit_out = place(begin, at);
                return true;
            }
            begin = at;
            is_suspect = decomposes(property_of((int32_t)codepoint));
        } else {
            is_suspect = true;
        }
        at += len;
    }
    *unit_out = place(begin, text.len);
    return is_suspect;
}

bool text_nfc(struct str text, struct nfc_space *space, struct text_map *out)
{
    struct text_place unit;
    if (!next_unit(text, 0, &unit))
        return false;
    size_t done = 0;
    do {
        text_map_copy(out, text, place(done, unit.begin));
        put_unit(text, unit, space, out);
        done = unit.end;
    } while (next_unit(text, done, &unit));
    text_map_copy(out, text, place(done, text.len));
    return true;
}

bool text_join_marks(struct str text, bool prepend, struct text_map *out)
{
    static const char mark[] = "\xe2\x96\x81";
    const size_t mark_len = sizeof mark - 1;
    const char *next = memmem(text.data, text.len, mark, mark_len);
    prepend = prepend && text.len > 0;
    if (!next && !prepend)
        return false;
    if (prepend)
        text_map_put(out, " ", 1, place(0, 1));
    size_t done = 0;
    while (next) {
        size_t at = (size_t)(next - text.data);
        text_map_copy(out, text, place(done, at));
        text_map_put(out, " ", 1, place(at, at + mark_len));
        done = at + mark_len;
        next = memmem(text.data + done, text.len - done, mark, mark_len);
    }
    text_map_copy(out, text, place(done, text.len));
    return true;
}
