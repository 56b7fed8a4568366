/* Prepared statements and the mapping of SQLite's failures; private to this folder. */
#ifndef TRIAD_STORE_QUERY_H
#define TRIAD_STORE_QUERY_H

#include <sqlite3.h>

#include "store.h"

#define STORE_SCHEMA_VERSION 4
#define STORE_QUERIES_MAX    96
/* Locks the files for this process alone and keeps the log's index in its memory and not in a
 * mapped file, whose pages a failing disk would take away with a signal; for all connections of the
 * process, of which there are three (store_checkpoint.c, store_reader()). */
#define STORE_VFS "unix-excl"

extern const char store_schema_sql[];
extern const char *const store_migrations[STORE_SCHEMA_VERSION - 1];

struct store_counts;
struct store_checkpoint;
struct store_committer;

struct store {
    sqlite3 *db;
    int lock_fd;
    bool in_transaction;
    _Atomic uint64_t commits, records_committed; /* told while a thread commits */
    uint64_t records_pending;
    char *path;
    struct store_counts *counts; /* changes of the turn under way (store_counts.c) */
    struct store_backup *backup; /* under way, or NULL (store_backup.c) */
    struct store_checkpoint *checkpoint;
    struct store_committer *committer; /* from the first commit that it was used for */
    struct store *reader; /* a connection of its own; in it, all but that and the path is unused */
    int log_pages;        /* in the write-ahead log at the latest commit */
    /* Jobs that this turn has made: all that is known of them without asking. */
    uint64_t made_first, made_last; /* orders; 0: none */
    int64_t made_last_work;
    int64_t made_last_experiment; /* that its row names; 0: none */
    int fold_pages;     /* for tests: the loop folds the log in when it has so many; 0: never */
    bool suspect;       /* a write or sync failed: the files may not hold what they say */
    bool check_was_cut; /* the integrity check at the start took too long */
    /* Statements by the address of their SQL text: each is a literal with one address. */
    struct {
        const char *sql;
        sqlite3_stmt *statement;
    } prepared[STORE_QUERIES_MAX];
    size_t prepared_count;
};

/* One use of a prepared statement. Binding errors are remembered and told by the next step. */
struct query {
    struct store *store;
    sqlite3_stmt *statement;
    int rc;
    int rc_last; /* of the latest step */
    int bound;   /* parameters so far */
    int column;  /* columns read of this row so far */
};

/* `sql` must be a string with static lifetime. */
struct query query_begin(struct store *store, const char *sql);
/* Bind the next parameter. Bytes and texts are borrowed until query_end(). */
void query_bind_int(struct query *q, int64_t value);
void query_bind_text(struct query *q, const char *text);
void query_bind_bytes(struct query *q, struct bytes bytes);
void query_bind_digest(struct query *q, const struct digest *digest); /* none: NULL */
/* The next row; *more_out is false at the end. */
NODISCARD enum err_code query_next(struct query *q, bool *more_out, struct err *err);
/* Run a statement that gives no rows, and end it. */
NODISCARD enum err_code query_run(struct query *q, struct err *err);
void query_end(struct query *q);

/* Read the next column of the row. Texts and bytes are copied to `arena`. */
int64_t query_int(struct query *q);
uint64_t query_u64(struct query *q);
uint32_t query_u32(struct query *q);
const char *query_text(struct query *q, struct arena *arena);
struct bytes query_bytes(struct query *q, struct arena *arena);
struct digest query_digest(struct query *q);

/* Open store->path with all settings, or leave it closed (db NULL); close it and all statements. */
NODISCARD enum err_code store_open_database(struct store *store, struct err *err);
/* Before the first opening: refuse a folder that has lost its database (ERR_CORRUPT); tell of a
 * damaged log and keep it aside (store_found.c). */
NODISCARD enum err_code store_look_before(const struct store *store, const char *dir,
                                          struct err *err);
void store_close_database(struct store *store);

/* The store's last failure as an error: "ACT: the disk is full". */
enum err_code store_failure(struct store *store, int rc, const char *act, struct err *err);
/* Run SQL that is a constant. */
NODISCARD enum err_code store_exec(struct store *store, const char *sql, struct err *err);
/* An experiment's row; ERR_NOT_FOUND when none is called that. */
NODISCARD enum err_code store_experiment_id(struct store *store, const char *name, int64_t *id_out,
                                            struct err *err);

/* ---- store_counts.c: jobs of an experiment by state ---- */

/* A job is about to move to `state`, or, with `experiment` named, has just joined it. */
NODISCARD enum err_code store_counts_move(struct store *store, uint64_t order, enum job_state state,
                                          struct err *err);
NODISCARD enum err_code store_counts_join(struct store *store, uint64_t order,
                                          const char *experiment, struct err *err);
/* Write the turn's changes into its transaction; or forget them. */
NODISCARD enum err_code store_counts_write(struct store *store, struct err *err);
void store_counts_forget(struct store *store);
void store_counts_free(struct store *store);

/* ---- store_checkpoint.c: the log is folded into the database by a thread ---- */

NODISCARD enum err_code store_checkpoint_begin(struct store *store, struct err *err);
/* After a commit: have a long log folded in. */
void store_checkpoint_look(struct store *store);
void store_checkpoint_end(struct store *store);

/* ---- store_commit.c ---- */
void store_committer_free(struct store *store);

/* A policy's numbers of tries as one number, a byte each, and back. */
uint64_t store_again_pack(const struct retry_policy *retry);
void store_again_unpack(uint64_t packed, struct retry_policy *retry);

/* Columns of jobs that make a core_job_row, in the order that job_row_read() wants them. */
#define JOB_ROW_COLUMNS                                                                            \
    "j.id, j.identity, j.kind, j.threads, j.memory_bytes, j.items_expected, j.priority,"           \
    " j.again, j.backoff_ms, j.backoff_ms_max, j.memory_growth, j.labels, j.time_limit_s,"         \
    " j.ranks, j.state, j.reason, j.epoch, j.attempts_spent, j.attempts_free, j.attempts_max, "    \
    "j.outcome,"                                                                                   \
    " j.failure_digest, j.failure_worker, j.worker, j.resume, j.resume_step, j.artifact,"          \
    " j.records, j.items, j.numeric_class, j.submitted_ms, j.started_ms, j.ended_ms,"              \
    " j.failures, coalesce((SELECT name FROM experiments e WHERE e.id = j.experiment_id), ''),"    \
    " EXISTS (SELECT 1 FROM experiment_jobs m WHERE m.job_id = j.id"                               \
    "  AND m.wanted = (m.experiment_id <> j.experiment_id))"
/* `is_shared_out`: others than the experiment that queued it want it, or that one does not. */
void job_row_read(struct query *q, struct arena *arena, struct core_job_row *out,
                  bool *is_shared_out);

#endif
