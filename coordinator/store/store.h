/* The coordinator's durable memory: one SQLite database in the state folder. SQLite is the journal
 * (WAL, synchronous=FULL): a turn's operations are one transaction, and the core is rebuilt from
 * the tables after a restart or a failed commit. The only folder that sees SQLite.
 *
 * Errors: a full or failing disk is ERR_IO (os_errno tells which); damaged files are ERR_CORRUPT;
 * a database of a newer program is ERR_VERSION. After any failure call store_rollback(). */
#ifndef TRIAD_STORE_H
#define TRIAD_STORE_H

#include "arena.h"
#include "core.h"
#include "err.h"
#include "vocab.h"

struct store;

/* Open or make the database in `dir` (which is made too), check it, and take the folder's lock:
 * ERR_CONFLICT when another coordinator has it. */
NODISCARD enum err_code store_open(const char *dir, struct store **out, struct err *err);
void store_close(struct store *store);
/* The name of a network file system by its statfs type; NULL for a local one. */
const char *store_network_name(unsigned long type);
/* Did the integrity check at the opening end before it had seen everything? */
bool store_check_was_cut(const struct store *store);
/* Begin a new life: counts it durably, for session numbers that never repeat. */
NODISCARD enum err_code store_boot(struct store *store, uint32_t *boot_out, struct err *err);
/* For tests of a full disk: the database may not grow past `pages` (of 4 KiB) from now on. */
NODISCARD enum err_code store_limit_pages(struct store *store, uint32_t pages, struct err *err);
/* For tests of power cuts: the log is folded into the database at every `pages`, as after hours. */
void store_fold_every(struct store *store, int pages);

/* Load all that is unfinished into a new core. */
NODISCARD enum err_code store_load(struct store *store, struct core *core, int64_t now_ms,
                                   struct err *err);

/* ---- writing ---- */

/* Apply operations to the open transaction; the first of a turn opens it. */
NODISCARD enum err_code store_apply(struct store *store, const struct core_op *ops, size_t count,
                                    struct err *err);
/* Is there an open transaction? */
bool store_is_writing(const struct store *store);
/* Make the turn durable; without an open transaction nothing happens. */
NODISCARD enum err_code store_commit(struct store *store, struct err *err);
/* The same on a thread of the store's, for a caller that has questions to answer meanwhile: begin
 * (false: there is nothing to commit), wait until the descriptor can be read, end. In between
 * nothing but store_reader() may be used. */
bool store_commit_begin(struct store *store);
int store_commit_fd(const struct store *store);
NODISCARD enum err_code store_commit_end(struct store *store, struct err *err);
void store_rollback(struct store *store);
/* After store_rollback() and before anything else is asked: should the disk have failed under the
 * files, move to new ones (store_renew.c). */
NODISCARD enum err_code store_renew(struct store *store, struct err *err);
/* A line of history that is not part of the state. */
NODISCARD enum err_code store_note(struct store *store, int64_t time_ms, const char *what,
                                   const char *detail, struct err *err);

/* Replace the document `name` as part of the turn; read it ("" when there is none). */
NODISCARD enum err_code store_document_put(struct store *store, const char *name, const char *body,
                                           struct err *err);
NODISCARD enum err_code store_document(struct store *store, const char *name, struct arena *arena,
                                       const char **body_out, struct err *err);

struct store_counters {
    uint64_t commits;
    uint64_t records_committed;
    uint64_t database_bytes;
    uint64_t jobs; /* finished or not */
};
struct store_counters store_counters(struct store *store);

/* ---- copying while work goes on (store_backup.c) ---- */

/* Begin a copy into `folder`/state.db. ERR_CONFLICT when a copy is under way or the file exists. */
NODISCARD enum err_code store_backup_begin(struct store *store, const char *folder,
                                           struct err *err);
struct store_backup_progress {
    const char *folder; /* NULL: no copy is under way */
    uint64_t pages, pages_done;
    bool is_copied; /* all of it, and not durable yet */
    bool complete;  /* durable; store_backup_drop() forgets it */
};
struct store_backup_progress store_backup_progress(const struct store *store);
/* Copy some more pages; not within a transaction. A failed copy is removed. */
NODISCARD enum err_code store_backup_step(struct store *store, int pages, struct err *err);
/* Make what is copied durable: takes as long as the disk does, and may run on a thread. */
NODISCARD enum err_code store_backup_sync(const char *folder, struct err *err);
void store_backup_synced(struct store *store);
/* A copy that is not complete is removed. */
void store_backup_drop(struct store *store);

/* ---- what must be kept (store_roots.c) ---- */

/* Trees and blobs that jobs after number `*after` need, from at most `jobs_max` of them: outputs of
 * done jobs; inputs and resume points of all others. Sets `*after` to the last one seen, or to
 * UINT64_MAX when there are no more. */
NODISCARD enum err_code store_roots(struct store *store, uint64_t *after, size_t jobs_max,
                                    struct arena *arena, struct digest **roots_out,
                                    size_t *count_out, struct err *err);

/* ---- reading; results belong to `arena` ---- */

/* What is committed, and nothing of the turn under way: for the functions below, at any time; the
 * store's until it is closed or renewed. What is read between begin and end is of one moment. */
struct store *store_reader(struct store *store);
NODISCARD enum err_code store_read_begin(struct store *reader, struct err *err);
void store_read_end(struct store *reader);

/* A job's stored row; ERR_NOT_FOUND. */
NODISCARD enum err_code store_job_row(struct store *store, const struct digest *job,
                                      struct arena *arena, struct core_job_row *out,
                                      struct err *err);
/* Label, spec and inputs of a lease of the job at this place; what the core does not keep. */
NODISCARD enum err_code store_complete_lease(struct store *store, uint64_t order,
                                             struct arena *arena, struct msg_lease *lease,
                                             struct err *err);
/* The part of an experiment that begins behind `after` and has so many jobs, or, at its end, fewer;
 * ERR_NOT_FOUND. */
NODISCARD enum err_code store_span(struct store *store, const char *experiment, uint64_t after,
                                   size_t jobs, struct core_span *out, struct err *err);
/* Unfinished jobs of the experiment's span that no other one wants; ERR_NOT_FOUND. */
NODISCARD enum err_code store_jobs_to_cancel(struct store *store, const char *experiment,
                                             const struct core_span *span, struct arena *arena,
                                             struct digest **jobs_out, size_t *count_out,
                                             struct err *err);
/* What retrying means (releasing: the same for quarantined ones only): of an experiment, all jobs
 * of its span that ended without success (releasing takes no span); of one job, that one with the
 * unsuccessful jobs it depends on and the aborted ones that depend on it. ERR_NOT_FOUND, or
 * ERR_CONFLICT when a single job is not one to retry. */
NODISCARD enum err_code store_jobs_to_retry(struct store *store, const struct msg_act *act,
                                            const struct core_span *span, struct arena *arena,
                                            struct core_job_row **rows_out, size_t *count_out,
                                            struct err *err);

/* Answers to clients. The caller adds what only the core knows of unfinished jobs. */
/* Label and work of the job at this place that runs as far as the core knows; it is wanted if it
 * does so here, too, and belongs to the experiment (any, when its name is empty). */
NODISCARD enum err_code store_running_label(struct store *store, uint64_t order,
                                            const char *experiment, struct arena *arena,
                                            const char **label_out, double *work_out,
                                            bool *wanted_out, struct err *err);
NODISCARD enum err_code store_list_jobs(struct store *store, const struct msg_list_jobs *request,
                                        struct arena *arena, struct msg_jobs *out, struct err *err);
NODISCARD enum err_code store_show_job(struct store *store, const struct msg_show_job *request,
                                       struct arena *arena, struct msg_job *out, struct err *err);
NODISCARD enum err_code store_read_stream(struct store *store,
                                          const struct msg_read_stream *request,
                                          struct arena *arena, struct msg_batches *out,
                                          struct err *err);
NODISCARD enum err_code store_get_experiment(struct store *store,
                                             const struct msg_get_experiment *request,
                                             struct arena *arena, struct msg_experiment *out,
                                             struct err *err);
/* An experiment's work in the planner's unit (submit_job.work). */
struct store_work {
    double all, done, unfinished; /* of all its jobs; of the done; of those without a final state */
    double done_since;            /* of the jobs done since the latest submission */
    int64_t submitted_ms;         /* wall clock, of that submission */
};
/* Experiments with their counts, newest submission first; ratio and time left are for
 * store_work_show(). */
NODISCARD enum err_code store_experiments(struct store *store, const char *experiment,
                                          struct arena *arena, struct experiment_row **rows_out,
                                          struct store_work **work_out, size_t *count_out,
                                          struct err *err);
/* Fill in the share done and the time left, if the rest goes as fast as what was done since the
 * submission; `running` is the work already done on unfinished jobs. */
void store_work_show(const struct store_work *work, double running, int64_t time_ms,
                     struct experiment_row *row);

#endif
