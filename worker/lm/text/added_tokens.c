#include "added_tokens.h"

#include <stdlib.h>

#include "check.h"

void added_tokens_release(struct added_tokens *added)
{
    free(added->nodes);
    *added = (struct added_tokens){0};
}

static uint32_t new_node(struct added_tokens *added, uint8_t byte)
{
    if (added->count + 1 >= added->cap) {
        added->cap = added->cap ? added->cap * 2 : 256;
        added->nodes = realloc(added->nodes, added->cap * sizeof *added->nodes);
        ASSERT(added->nodes != NULL);
    }
    added->nodes[++added->count] = (struct added_node){.id = -1, .byte = byte};
    return added->count;
}

/* The child of `node` for `byte`, or 0. */
static uint32_t child_of(const struct added_tokens *added, uint32_t node, uint8_t byte)
{
    uint32_t child = added->nodes[node].child;
    while (child != 0 && added->nodes[child].byte != byte)
        child = added->nodes[child].sibling;
    return child;
}

bool added_tokens_add(struct added_tokens *added, struct str content, int32_t id, bool is_ordinary)
{
    ASSERT(content.len > 0);
    ASSERT(content.len <= ADDED_CONTENT_MAX);
    uint8_t first = (uint8_t)content.data[0];
    if (added->roots[first] == 0)
        added->roots[first] = new_node(added, first);
    uint32_t node = added->roots[first];
    for (size_t i = 1; i < content.len; i++) {
        uint8_t byte = (uint8_t)content.data[i];
        uint32_t child = child_of(added, node, byte);
        if (child == 0) {
            child = new_node(added, byte);
            added->nodes[child].sibling = added->nodes[node].child;
            added->nodes[node].child = child;
        }
        node = child;
    }
    if (added->nodes[node].id >= 0)
        return false;
    added->nodes[node].id = id;
    added->nodes[node].is_ordinary = is_ordinary;
    added->begins[ADDED_ALL][first] = true;
    added->begins[ADDED_ORDINARY][first] = added->begins[ADDED_ORDINARY][first] || is_ordinary;
    return true;
}

int32_t added_tokens_find(const struct added_tokens *added, struct str content)
{
    if (content.len == 0)
        return -1;
    uint32_t node = added->roots[(uint8_t)content.data[0]];
    for (size_t i = 1; node != 0 && i < content.len; i++)
        node = child_of(added, node, (uint8_t)content.data[i]);
    return node != 0 ? added->nodes[node].id : -1;
}

/* The longest token that begins at `from`. */
static bool match_at(const struct added_tokens *added, enum added_policy policy, struct str text,
                     size_t from, struct added_match *match_out)
{
    bool is_found = false;
    uint32_t node = added->roots[(uint8_t)text.data[from]];
    for (size_t at = from + 1; node != 0; at++) {
        const struct added_node *n = &added->nodes[node];
        if (n->id >= 0 && (policy == ADDED_ALL || n->is_ordinary)) {
            *match_out = (struct added_match){from, at, n->id};
            is_found = true;
        }
        node = at < text.len ? child_of(added, node, (uint8_t)text.data[at]) : 0;
    }
    return is_found;
}

bool added_tokens_next(const struct added_tokens *added, enum added_policy policy, struct str text,
                       size_t from, struct added_match *match_out)
{
    const bool *begins = added->begins[policy];
    for (size_t at = from; at < text.len; at++) {
        if (begins[(uint8_t)text.data[at]] && match_at(added, policy, text, at, match_out))
            return true;
    }
    return false;
}
