/* A YAML document as a tree in which every node knows where it stands in its file.
 *
 * A deliberately small YAML: one document, UTF-8, scalars, sequences and mappings with scalar keys.
 * Anchors, aliases and tags are refused (they make a short file mean a long one), and so are
 * duplicate keys. Reading takes memory and time in proportion to the bytes. */
#ifndef TRIAD_YAML_H
#define TRIAD_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "err.h"
#include "str.h"

#define YAML_BYTES_MAX (1024 * 1024)
#define YAML_NODES_MAX 200000
#define YAML_DEPTH_MAX 32

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
    enum yaml_kind kind;
    unsigned line, column; /* 1-based */
    const char *text;      /* scalars: NUL-terminated, without inner NUL; "" otherwise */
    bool plain;            /* scalars: written without quotes */
    /* Sequences: `count` items. Mappings: `count` keys and values, in the order of the file. */
    struct yaml_node **keys;
    struct yaml_node **items;
    size_t count;
};

struct yaml_doc {
    struct arena arena; /* owns the tree and the name */
    const char *name;   /* what errors call the file */
    struct yaml_node *root;
};

/* Parse one document. Errors read "NAME:LINE:COLUMN: what"; ERR_INVALID for bad YAML, ERR_LIMIT
 * past the bounds above. Free with yaml_release(). */
NODISCARD enum err_code yaml_parse(const char *bytes, size_t len, const char *name,
                                   struct yaml_doc *out, struct err *err);
void yaml_release(struct yaml_doc *doc);

/* Is it UTF-8 (RFC 3629: no surrogates, no overlong forms)? */
bool yaml_is_utf8(const char *bytes, size_t len);

/* The value of a key, or NULL (also when `mapping` is no mapping). */
struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key);
/* An empty value, "~" or "null", unquoted. */
bool yaml_is_null(const struct yaml_node *node);

/* Record ERR_INVALID as "NAME:LINE:COLUMN: …" at the node, and return it. */
enum err_code yaml_fail(const struct yaml_doc *doc, const struct yaml_node *at, struct err *err,
                        const char *format, ...) PRINTF(4, 5);

#endif
