/* Files from the web, as they are: continued where a download broke off, compared with a known
 * digest, and put in their place only when complete. */
#ifndef TRIAD_FETCH_H
#define TRIAD_FETCH_H

#include <stdint.h>

#include "hash.h"

struct fetch_request {
    const char *url;
    const char *path;            /* the file; PATH.part while it is not complete */
    const struct digest *digest; /* what it must be, or NULL */
    int64_t bytes_max;           /* refuse more; 0: no limit */
};

struct fetch_result {
    int64_t bytes;   /* of the file */
    int64_t resumed; /* of them, there from an earlier try */
    struct digest digest;
};

/* Before the first and after the last use in a program. */
NODISCARD enum err_code fetch_start(struct err *err);
void fetch_stop(void);

/* Download a file. ERR_NOT_FOUND, ERR_DENIED (the address wants an account), ERR_UNAVAILABLE (try
 * again: the part is kept), ERR_LIMIT, ERR_IO; ERR_CORRUPT when the digest is another, and then the
 * file is left beside its place as PATH.unexpected. */
NODISCARD enum err_code fetch_file(const struct fetch_request *request, struct fetch_result *out,
                                   struct err *err);

#endif
