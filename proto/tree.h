/* A tree: the list of files that names a flat folder (docs/data.md section 3). */
#ifndef TRIAD_TREE_H
#define TRIAD_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "hash.h"
#include "str.h"

/* Largest tree document: names of TREE_FILES_MAX files with all their quoting. */
#define TREE_BYTES_MAX ((size_t)256 * 1024)

struct tree_file {
    const char *name; /* a safe path component */
    struct digest digest;
    uint64_t size_bytes;
};

struct tree {
    struct arena arena;      /* owns everything below */
    struct tree_file *files; /* sorted by name, no name twice */
    size_t file_count;
};

/* Parse a tree's canonical JSON. ERR_INVALID for anything that tree_encode() would not have
 * written, ERR_LIMIT past TREE_FILES_MAX. Free with tree_release(). */
NODISCARD enum err_code tree_parse(const void *bytes, size_t len, struct tree *out,
                                   struct err *err);
/* List a folder's files and hash them. ERR_INVALID when it holds anything but plain files with safe
 * names, ERR_LIMIT when there are too many. Free with tree_release(). */
NODISCARD enum err_code tree_of_folder(const char *path, struct tree *out, struct err *err);
/* Append the canonical JSON; its hash_bytes() is the tree's digest. */
void tree_encode(const struct tree *tree, struct strbuf *out);
void tree_release(struct tree *tree);

#endif
