/* What a worker has computed and the coordinator has not acknowledged, on disk.
 *
 *   FOLDER/<job>-<epoch>/<stream>.<first index>   batches, appended: u32 length, u32 index,
 *                                                 u32 crc32c of both and the payload, payload
 *   FOLDER/<job>-<epoch>/result                   the RESULT frame (codec.h); present means that
 *                                                 the attempt is finished and all batches are there
 *
 * A process that is killed loses its running attempts but none of its finished ones: the result is
 * written last, after the batches are on the disk. Opening cuts torn tails, keeps what is finished
 * and complete, and removes the rest: nobody has a right to it any more. */
#ifndef TRIAD_SPOOL_H
#define TRIAD_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "str.h"
#include "vocab.h"

struct spool;

/* `bytes_max`: all batches together; appending past it is ERR_LIMIT. */
NODISCARD enum err_code spool_open(const char *folder, uint64_t bytes_max, struct spool **out,
                                   struct err *err);
void spool_free(struct spool *spool);

/* Finished leases, in order of their names. `result` is borrowed until the lease is forgotten. */
size_t spool_finished_count(const struct spool *spool);
const struct msg_result *spool_finished_at(const struct spool *spool, size_t index);

/* Begin a lease; what an older life left of it is removed. */
NODISCARD enum err_code spool_begin(struct spool *spool, const struct lease_key *lease,
                                    struct err *err);
/* Append the next batch of a stream. On failure the spool is as before; os_errno tells a full
 * disk. ERR_CORRUPT when a record batch is not one, ERR_NOT_FOUND for an unknown lease. */
NODISCARD enum err_code spool_append(struct spool *spool, const struct lease_key *lease,
                                     enum stream_kind stream, struct bytes payload,
                                     struct err *err);
/* Replace the content of `out` by a batch. ERR_NOT_FOUND when it was dropped or never there,
 * ERR_CORRUPT when the disk gives back something else. */
NODISCARD enum err_code spool_read(struct spool *spool, const struct lease_key *lease,
                                   enum stream_kind stream, uint32_t index, struct strbuf *out,
                                   struct err *err);
/* Batches below `below` are acknowledged: their space may go. */
void spool_drop(struct spool *spool, const struct lease_key *lease, enum stream_kind stream,
                uint32_t below);
/* The batches and then the result become durable in three steps, as the middle one takes as long as
 * the disk does and may happen on a thread: note what there is, write it, and take away what was
 * written for a lease that is forgotten by then. Of two results of a lease the one written last
 * stays. */
struct spool_end;
NODISCARD enum err_code spool_end_new(struct spool *spool, const struct lease_key *lease,
                                      const struct msg_result *result, struct spool_end **out,
                                      struct err *err);
/* Looks at nothing but `end`, the disk and the names in it. */
NODISCARD enum err_code spool_end_write(const struct spool_end *end, struct err *err);
/* False: the lease is forgotten, and what became of the write does not matter. */
bool spool_end_free(struct spool *spool, struct spool_end *end);
/* Remove all of a lease; unknown ones are fine. */
void spool_forget(struct spool *spool, const struct lease_key *lease);

struct spool_totals {
    uint32_t batches[STREAM_COUNT];
    uint64_t items;         /* records in the record batches */
    struct digest records;  /* digest over the record batches in order; none when there are none */
    uint64_t pending_bytes; /* not dropped yet */
};
/* Zero for an unknown lease. */
struct spool_totals spool_totals(const struct spool *spool, const struct lease_key *lease);

#endif
