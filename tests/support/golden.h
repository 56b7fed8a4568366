/* Comparing with a golden file; UPDATE_GOLDEN=1 in the environment rewrites it instead. */
#ifndef TRIAD_GOLDEN_H
#define TRIAD_GOLDEN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

/* Does tests/golden/`name` hold exactly these bytes? Says where the first difference is. */
static inline bool golden_matches(const char *name, const char *bytes, size_t len)
{
    char path[512];
    struct err err = {0};
    char *wanted = NULL;
    size_t wanted_len = 0;
    snprintf(path, sizeof path, TRIAD_SOURCE_DIR "/tests/golden/%s", name);
    if (getenv("UPDATE_GOLDEN"))
        return file_write_atomic(path, bytes, len, 0644, &err) == ERR_OK;
    if (file_read(path, 0, &wanted, &wanted_len, &err) != ERR_OK) {
        fprintf(stderr, "%s\n", err.text);
        return false;
    }
    size_t same = 0, line = 1;
    while (same < len && same < wanted_len && bytes[same] == wanted[same])
        line += bytes[same++] == '\n';
    bool equal = len == wanted_len && same == len;
    if (!equal)
        fprintf(stderr, "%s differs on line %zu (byte %zu): wanted \"%.60s\", have \"%.60s\"\n",
                path, line, same, wanted + same, bytes + same);
    free(wanted);
    return equal;
}

#endif
