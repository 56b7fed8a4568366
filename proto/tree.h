/* A tree: a flat folder as one blob that names its files (docs/data.md section 3). */
#ifndef TRIAD_TREE_H
#define TRIAD_TREE_H

#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "hash.h"
#include "str.h"

struct tree_file {
    const char *name; /* safe path component */
    struct digest digest;
    uint64_t size; /* bytes */
};

/* Files sorted by name (bytewise), names distinct. */
struct tree {
    struct tree_file *files;
    uint32_t file_count; /* at most TREE_FILES_MAX */
};

/* Largest tree document: TREE_FILES_MAX names of 255 bytes, escaped at worst six-fold. */
#define TREE_BYTES_MAX (512 * 1024)

/* Parse a tree's blob; what `out` points to belongs to `arena`. Accepts the canonical form only, so
 * that a folder has one digest: ERR_INVALID otherwise, ERR_LIMIT past limits.h. */
NODISCARD enum err_code tree_parse(const char *bytes, size_t len, struct arena *arena,
                                   struct tree *out, struct err *err);
/* Append the canonical JSON of `tree`, whose files are sorted. Its digest names the folder. */
void tree_write(struct strbuf *out, const struct tree *tree);
struct digest tree_digest(const struct tree *tree);

/* Describe a folder: names, sizes and digests of its files, read whole. Blocks; owns nothing
 * shared, so it may run on any thread. ERR_INVALID for sub-folders, links, other special files and
 * unsafe names; names that begin with a dot are left out. */
NODISCARD enum err_code tree_scan(const char *folder, struct arena *arena, struct tree *out,
                                  struct err *err);

#endif
