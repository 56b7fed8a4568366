/* Mappings read strictly into structs, by one table per mapping.
 *
 * Unknown keys, wrong types, missing keys and numbers out of range are errors that say where, what
 * was meant and what is allowed. A key that is absent leaves its member as it was, so reading
 * several mappings into one struct is how defaults are overridden. */
#ifndef TRIAD_FIELDS_H
#define TRIAD_FIELDS_H

#include "yaml.h"

enum field_kind {
    FIELD_TEXT,    /* const char *: any text that is not empty */
    FIELD_NAME,    /* const char *: letters, digits, "_", "-", "."; begins with no dot */
    FIELD_INTEGER, /* int64_t within min … max; suffixes k, M, G */
    FIELD_BYTES,   /* int64_t within min … max; suffixes KiB … */
    FIELD_REAL,    /* double within min … max */
    FIELD_BOOL,    /* bool */
    FIELD_CHOICE,  /* int: index into `choices` */
    FIELD_TEXTS,   /* struct field_texts: one text or a list of texts */
    FIELD_NODE,    /* const struct yaml_node *: read by somebody else */
};

struct field_texts {
    const char **items;
    const struct yaml_node **nodes; /* where each stands */
    size_t count;
};

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset; /* of the member in the struct */
    double min, max;
    const char *const *choices; /* ended by NULL */
    bool required;
};

struct field_table {
    const struct field *fields;
    size_t count;
};

/* Read `node`, which errors call `what` ("in 'spectrum'"), into `record`. Texts and lists
 * belong to the document. ERR_INVALID as described above; the record may then be partly filled. */
NODISCARD enum err_code fields_read(struct yaml_doc *doc, const struct yaml_node *node,
                                    const char *what, const struct field_table *table, void *record,
                                    struct err *err);

/* May the text be a name (as FIELD_NAME)? Names end up in labels, identifiers and file names. */
bool field_is_name(const char *text);

/* Append ", did you mean 'x'" or "; known are a, b, c" for a word that is none of the candidates.
 * Returns `out`. */
char *fields_suggest(const char *word, const char *const *candidates, size_t count, char *out,
                     size_t size);

#endif
