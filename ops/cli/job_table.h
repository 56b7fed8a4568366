/* All jobs of an experiment, fetched page by page, and finding the one that a person means. */
#ifndef TRIAD_JOB_TABLE_H
#define TRIAD_JOB_TABLE_H

#include "connection.h"

/* A prefix of an identity must have this many digits, so that a short label is not taken for one.
 */
#define JOB_PREFIX_DIGITS_MIN 4

struct job_table {
    const struct job_row **rows; /* in the coordinator's order: as submitted */
    size_t count, cap;
};

/* Jobs of an experiment ("" for all) in the states of `state_mask` (0: all); rows belong to
 * `arena`. */
NODISCARD enum err_code job_table_fetch(struct connection *c, const char *experiment,
                                        uint32_t state_mask, struct arena *arena,
                                        struct job_table *out, struct err *err);

/* The job called `text`: a full identity, the first digits of one, or a label, with or
 * without the seed at its end. ERR_NOT_FOUND when there is none, ERR_INVALID with the matches when
 * there are several. */
NODISCARD enum err_code job_table_find(const struct job_table *table, const char *text,
                                       const struct job_row **row_out, struct err *err);

/* Fetch those of an experiment ("": all; NULL: all, and the command takes no experiment) and find
 * one. */
NODISCARD enum err_code job_table_resolve(struct connection *c, const char *experiment,
                                          const char *text, struct arena *arena,
                                          const struct job_row **row_out, struct err *err);

/* How a job stands, for people: its state, and why ("aborted: parent 'model' …"), in `arena`. */
const char *job_table_state_text(const struct job_row *row, struct arena *arena);

/* Bit of a state by its name; ERR_INVALID lists the names. Empty text: 0. */
NODISCARD enum err_code job_table_state_mask(const char *text, uint32_t *mask_out, struct err *err);

#endif
