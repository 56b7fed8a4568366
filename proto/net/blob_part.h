/* A blob on its way in: a file in the cache that grows in order, so that its length says what has
 * come. What a process leaves there (killed, stopped, nobody answered for too long) the next one
 * goes on with. It counts for nothing before the digest of the whole is right: after a power
 * failure even a file of full length may hold other bytes. All functions block. */
#ifndef TRIAD_BLOB_PART_H
#define TRIAD_BLOB_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "hash.h"

/* What nobody wrote to for so long is removed: what somebody may go on with, and what nobody can.
 */
#define PART_KEPT_AGE_MAX_S  86400
#define PART_OTHER_AGE_MAX_S 3600

struct blob_part {
    int fd;
    char *path;   /* owned by the caller */
    uint64_t len; /* bytes that may be gone on with: whole chunks */
};

/* "<digest>.part", locked for this process; while another process holds that, one of our own that
 * starts empty ("<digest>.part.…"). */
NODISCARD enum err_code blob_part_open(const char *cache, const struct digest *digest,
                                       struct blob_part *out, struct err *err);
/* Hash the first `len` bytes; returns how many could be read. `print_out`: as blob_sources.h has
 * it.
 */
uint64_t blob_part_read(int fd, uint64_t len, struct hash_state *hash, uint64_t *print_out);
/* Its writer stops: what the next one can use stays if it is wanted. */
void blob_part_leave(const char *path, bool is_wanted);

/* Remove those that nobody writes at the moment: room is worth more. */
void blob_part_drop_idle(const char *cache);

/* Is this the name of a part, and does nobody need it any more? */
bool blob_part_is_name(const char *name);
bool blob_part_is_old(const char *name, int64_t age_s);

#endif
