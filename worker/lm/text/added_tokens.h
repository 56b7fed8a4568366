/* Added tokens: texts that are tokens as they stand, whatever the rest of the tokenizer would make
 * of them. Where several begin at one place, the longest is meant. */
#ifndef TRIAD_ADDED_TOKENS_H
#define TRIAD_ADDED_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "str.h"

enum {
    /* The longest that a file may have; bounds what a search costs at each place of a text. */
    ADDED_CONTENT_MAX = 256,
};

/* Which of them a text can give. */
enum added_policy {
    /* Those that are entries of the model and not special, such as Gemma's "\n\n" and "<h1>": they
     * are the spelling of ordinary text. No text of a dataset can give a token that controls. */
    ADDED_ORDINARY,
    /* All, as the reference libraries do by default. */
    ADDED_ALL,
};

/* A node of the trie of contents; siblings are a list. */
struct added_node {
    uint32_t child; /* node numbers; 0 for none */
    uint32_t sibling;
    int32_t id; /* the token whose content ends here, or -1 */
    uint8_t byte;
    bool is_ordinary;
};

/* Zero-initialise; free with added_tokens_release(). */
struct added_tokens {
    struct added_node *nodes; /* nodes[0] is not used */
    uint32_t count;
    uint32_t cap;
    uint32_t roots[256]; /* by first byte */
    bool begins[2][256]; /* by policy: a token begins with this byte */
};

void added_tokens_release(struct added_tokens *added);
/* False when the content is there already. `content` has 1 to ADDED_CONTENT_MAX bytes. */
bool added_tokens_add(struct added_tokens *added, struct str content, int32_t id, bool is_ordinary);
/* The token of exactly this content, or -1. */
int32_t added_tokens_find(const struct added_tokens *added, struct str content);

struct added_match {
    size_t begin;
    size_t end;
    int32_t id;
};

/* The first match at `from` or after; false when there is none. */
bool added_tokens_next(const struct added_tokens *added, enum added_policy policy, struct str text,
                       size_t from, struct added_match *match_out);

#endif
