#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "file.h"
#include "store_query.h"

/* The integrity check at the start may take so long. */
#define CHECK_MS_MAX 5000

/* ---- opening ---- */

const char *store_network_name(unsigned long type)
{
    static const struct {
        unsigned long type; /* statfs(2), f_type */
        const char *name;
    } networks[] = {
        {0x6969, "NFS"},       {0x517b, "SMB"},          {0xff534d42, "CIFS"},
        {0xfe534d42, "SMB2"},  {0x5346414f, "AFS"},      {0x6b414653, "AFS"},
        {0x00c36400, "Ceph"},  {0x0bd00bd0, "Lustre"},   {0x47504653, "GPFS"},
        {0x01161970, "GFS2"},  {0x7461636f, "OCFS2"},    {0x19830326, "BeeGFS"},
        {0xaad7aaea, "PanFS"}, {0x20030528, "OrangeFS"}, {0x73757245, "Coda"},
        {0x564c, "NCP"},
    };
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        if (networks[i].type == type) {
            return networks[i].name;
        }
    }
    return NULL;
}

/* A write-ahead log needs memory shared by its users and locks that hold, which network file
 * systems do not give; and a commit there takes as long as the network likes. */
static enum err_code refuse_network(const char *dir, struct err *err)
{
    struct statfs info;
    if (statfs(dir, &info) != 0) {
        return err_os(err, errno, "look at '%s'", dir);
    }
    const char *name = store_network_name((unsigned long)info.f_type & 0xffffffffUL);
    return name == NULL
               ? ERR_OK
               : err_set(err, ERR_INVALID,
                         "'%s' is on a network file system (%s), where SQLite loses data: use a "
                         "folder on a local disk, such as /var/tmp/triad, and 'triad backup' to "
                         "keep copies",
                         dir, name);
}

/* Who only looks whether the lock is held (triad status) holds it for a moment, too. */
#define LOCK_TRIES  50
#define LOCK_TRY_US 10000

static bool lock_soon(int fd)
{
    int tries = LOCK_TRIES;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || --tries == 0) {
            return false;
        }
        usleep(LOCK_TRY_US);
    }
    return true;
}

/* flock, not a pid file: the kernel lets go when the process dies, however it dies. */
static enum err_code take_lock(const char *dir, int *fd_out, struct err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/lock", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_os(err, errno, "open '%s'", path);
    }
    if (!lock_soon(fd)) {
        int reason = errno;
        close(fd);
        if (reason == EWOULDBLOCK) {
            return err_set(err, ERR_CONFLICT,
                           "another coordinator runs there: stop it, or use another folder");
        }
        return err_os(err, reason, "lock '%s'", path);
    }
    *fd_out = fd;
    return ERR_OK;
}

static enum err_code read_number(struct store *store, const char *sql, int64_t *out,
                                 struct err *err)
{
    struct query q = query_begin(store, sql);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    if (code == ERR_OK) {
        *out = more ? query_int(&q) : 0;
        query_end(&q);
    }
    return code;
}

static enum err_code stamp_version(struct store *store, int64_t version, struct err *err)
{
    char stamp[64];
    snprintf(stamp, sizeof stamp, "PRAGMA user_version = %lld", (long long)version);
    return store_exec(store, stamp, err);
}

/* One step in one transaction: a crash in the middle leaves the former version. */
static enum err_code make_version(struct store *store, const char *sql, int64_t version,
                                  struct err *err)
{
    enum err_code code = store_exec(store, "BEGIN IMMEDIATE", err);
    code = code != ERR_OK ? code : store_exec(store, sql, err);
    code = code != ERR_OK ? code : stamp_version(store, version, err);
    code = code != ERR_OK ? code : store_exec(store, "COMMIT", err);
    if (code != ERR_OK) {
        store_rollback(store);
    }
    return code;
}

/* None of ours, or none at all. */
static enum err_code refuse_foreign(struct store *store, int64_t version, struct err *err)
{
    int64_t ours = 0, all = 0;
    enum err_code code = read_number(
        store, "SELECT count(*) FROM sqlite_schema WHERE name IN ('meta', 'jobs', 'batches')",
        &ours, err);
    code =
        code != ERR_OK ? code : read_number(store, "SELECT count(*) FROM sqlite_schema", &all, err);
    if (code != ERR_OK || (version == 0 ? all == 0 : ours == 3)) {
        return code;
    }
    return err_set(err, ERR_CONFLICT,
                   "'%s' is another program's database: name another folder for the state",
                   store->path);
}

static enum err_code make_or_migrate_schema(struct store *store, struct err *err)
{
    int64_t version = 0;
    enum err_code code = read_number(store, "PRAGMA user_version", &version, err);
    if (code != ERR_OK) {
        return code;
    }
    if (version < 0 || version > STORE_SCHEMA_VERSION) {
        return err_set(err, ERR_VERSION,
                       "'%s' has format %lld, this program knows %d: use the program that made it",
                       store->path, (long long)version, STORE_SCHEMA_VERSION);
    }
    code = refuse_foreign(store, version, err);
    if (code != ERR_OK) {
        return code;
    }
    if (version == 0) {
        return make_version(store, store_schema_sql, STORE_SCHEMA_VERSION, err);
    }
    for (; version < STORE_SCHEMA_VERSION && code == ERR_OK; version++) {
        code = make_version(store, store_migrations[version - 1], version + 1, err);
        if (code != ERR_OK) {
            return err_wrap(err, "bring '%s' from format %lld to %lld (it is unchanged)",
                            store->path, (long long)version, (long long)version + 1);
        }
    }
    return code;
}

/* ---- the check at the start ---- */

static int check_takes_too_long(void *until_ms)
{
    return clock_mono_ms() >= *(const int64_t *)until_ms;
}

/* A page that could not be read says nothing about what is on it. */
static bool is_read_failure(const char *verdict)
{
    const char *code = strstr(verdict, "error code=");
    return code != NULL && (strtol(code + strlen("error code="), NULL, 10) & 0xff) == SQLITE_IOERR;
}

/* Pages, rows and order of every table, but for so long only: the check of a database of many
 * gigabytes must not keep the workers waiting. Damage elsewhere is found when it is read. */
static enum err_code quick_check(struct store *store, struct err *err)
{
    int64_t until_ms = clock_mono_ms() + CHECK_MS_MAX;
    sqlite3_progress_handler(store->db, 10000, check_takes_too_long, &until_ms);
    struct query q = query_begin(store, "PRAGMA quick_check(1)");
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    sqlite3_progress_handler(store->db, 0, NULL, NULL);
    if (code != ERR_OK) {
        store->check_was_cut = q.rc_last == SQLITE_INTERRUPT;
        return store->check_was_cut ? ERR_OK : code;
    }
    struct arena arena = {0};
    const char *verdict = more ? query_text(&q, &arena) : "no answer";
    if (is_read_failure(verdict)) {
        code = err_os(err, EIO, "check the database '%s'", store->path);
    } else if (strcmp(verdict, "ok") != 0) {
        code = err_set(err, ERR_CORRUPT,
                       "the database '%s' is damaged (%s): put back the newest 'triad backup'",
                       store->path, verdict);
    }
    arena_release(&arena);
    query_end(&q);
    return code;
}

static int on_commit(void *ctx, sqlite3 *db, const char *schema, int log_pages)
{
    struct store *store = ctx;
    (void)db, (void)schema;
    store->log_pages = log_pages;
    return SQLITE_OK;
}

static void finalize_all(struct store *store)
{
    for (size_t i = 0; i < store->prepared_count; i++) {
        sqlite3_finalize(store->prepared[i].statement);
    }
    store->prepared_count = 0;
}

/* ---- a second look at what is committed ---- */

static void close_reader(struct store *store)
{
    if (store->reader != NULL) {
        finalize_all(store->reader);
        sqlite3_close(store->reader->db);
        free(store->reader);
        store->reader = NULL;
    }
}

static enum err_code open_reader(struct store *store, struct err *err)
{
    struct store *reader = calloc(1, sizeof *reader);
    ASSERT(reader != NULL);
    reader->path = store->path;
    store->reader = reader;
    int rc = sqlite3_open_v2(store->path, &reader->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                             STORE_VFS);
    if (rc != SQLITE_OK) {
        return store_failure(reader, rc, "open state for reading", err);
    }
    sqlite3_extended_result_codes(reader->db, 1);
    return store_exec(reader, "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY", err);
}

struct store *store_reader(struct store *store)
{
    return store->reader;
}

enum err_code store_read_begin(struct store *reader, struct err *err)
{
    return store_exec(reader, "BEGIN", err);
}

void store_read_end(struct store *reader)
{
    store_rollback(reader);
}

/* ---- opening and closing ---- */

void store_close_database(struct store *store)
{
    store_backup_drop(store);
    store_checkpoint_end(store);
    close_reader(store);
    finalize_all(store);
    if (store->suspect && store->db != NULL) { /* the log is all that is sure */
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    sqlite3_close(store->db);
    store->db = NULL;
}

static enum err_code prepare_database(struct store *store, struct err *err)
{
    int rc = sqlite3_open_v2(store->path, &store->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                             STORE_VFS);
    if (rc != SQLITE_OK) {
        return store_failure(store, rc, "open state", err);
    }
    if (chmod(store->path, 0600) != 0) {
        return err_os(err, errno, "chmod '%s'", store->path);
    }
    sqlite3_extended_result_codes(store->db, 1);
    /* FULL: a commit survives a power cut. The cache is 8 MiB and not more: SQLite moves pages by
     * way of a number far behind the file's end and so, at each commit, looks through its whole
     * cache for pages to drop there, which with 64 MiB cost 1 ms. A log that was found is folded in
     * and cut to nothing: whatever happened to its blocks in a former life, it gets new ones. */
    enum err_code code = store_exec(store,
                                    "PRAGMA journal_mode = WAL;"
                                    "PRAGMA synchronous = FULL;"
                                    "PRAGMA cache_size = -8192;"
                                    "PRAGMA temp_store = MEMORY",
                                    err);
    code = code != ERR_OK ? code : store_exec(store, "PRAGMA wal_checkpoint(TRUNCATE)", err);
    code = code != ERR_OK ? code : quick_check(store, err);
    code = code != ERR_OK ? code : make_or_migrate_schema(store, err);
    if (code != ERR_OK) {
        return code;
    }
    sqlite3_wal_hook(store->db, on_commit, store); /* instead of SQLite's own, which would fold */
    code = open_reader(store, err);
    return code != ERR_OK ? code : store_checkpoint_begin(store, err);
}

enum err_code store_open_database(struct store *store, struct err *err)
{
    enum err_code code = prepare_database(store, err);
    if (code != ERR_OK) {
        store_close_database(store);
    }
    return code;
}

enum err_code store_open(const char *dir, struct store **out, struct err *err)
{
    enum err_code code = file_mkdirs(dir, 0700, err);
    code = code != ERR_OK ? code : refuse_network(dir, err);
    if (code != ERR_OK) {
        return code;
    }
    struct store *store = calloc(1, sizeof *store);
    ASSERT(store != NULL);
    store->lock_fd = -1;
    int path_len = asprintf(&store->path, "%s/state.db", dir);
    ASSERT(path_len > 0);
    code = take_lock(dir, &store->lock_fd, err);
    code = code != ERR_OK ? code : store_look_before(store, dir, err);
    code = code != ERR_OK ? code : store_open_database(store, err);
    if (code != ERR_OK) {
        store_close(store);
        return err_wrap(err, "open state '%s'", dir);
    }
    *out = store;
    return ERR_OK;
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    store_committer_free(store);
    store_close_database(store);
    store_counts_free(store);
    if (store->lock_fd >= 0) {
        close(store->lock_fd);
    }
    free(store->path);
    free(store);
}

enum err_code store_boot(struct store *store, uint32_t *boot_out, struct err *err)
{
    /* Rows of workers that have not come back for thousands of others are of no use. */
    enum err_code code = store_exec(store,
                                    "UPDATE meta SET value = value + 1 WHERE key = 'boot';"
                                    "DELETE FROM workers WHERE name NOT IN"
                                    " (SELECT name FROM workers ORDER BY hello_ms DESC LIMIT 4096)",
                                    err);
    int64_t boot = 0;
    code = code != ERR_OK
               ? code
               : read_number(store, "SELECT value FROM meta WHERE key = 'boot'", &boot, err);
    if (code == ERR_OK) {
        *boot_out = (uint32_t)boot;
    }
    return code;
}

void store_fold_every(struct store *store, int pages)
{
    store->fold_pages = pages;
}

enum err_code store_limit_pages(struct store *store, uint32_t pages, struct err *err)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %u", pages);
    return store_exec(store, sql, err);
}

/* ---- transactions ---- */

enum err_code store_commit(struct store *store, struct err *err)
{
    if (!store->in_transaction) {
        return ERR_OK;
    }
    if (store->suspect) {
        return err_os(err, EIO, "fold the log into '%s'", store->path);
    }
    enum err_code code = store_counts_write(store, err);
    code = code != ERR_OK ? code : store_exec(store, "COMMIT", err);
    if (code != ERR_OK) {
        return code;
    }
    store->in_transaction = false;
    store->commits++;
    store_checkpoint_look(store);
    store->records_committed += store->records_pending;
    store->records_pending = 0;
    return ERR_OK;
}

void store_rollback(struct store *store)
{
    /* A failed statement may have rolled back by itself; then there is nothing left to undo. */
    for (size_t i = 0; i < store->prepared_count; i++) {
        sqlite3_reset(store->prepared[i].statement);
    }
    if (store->db != NULL && sqlite3_get_autocommit(store->db) == 0) {
        struct err ignored;
        enum err_code code = store_exec(store, "ROLLBACK", &ignored);
        (void)code;
    }
    store->in_transaction = false;
    store->records_pending = 0;
    store_counts_forget(store);
}

bool store_is_writing(const struct store *store)
{
    return store->in_transaction;
}

bool store_check_was_cut(const struct store *store)
{
    return store->check_was_cut;
}

struct store_counters store_counters(struct store *store)
{
    struct stat info = {0};
    struct stat log_info = {0};
    char log_path[4096];
    snprintf(log_path, sizeof log_path, "%s-wal", store->path);
    struct err ignored;
    int64_t jobs = 0;
    if (read_number(store->reader, "SELECT coalesce(max(id), 0) FROM jobs", &jobs, &ignored) !=
        ERR_OK) {
        jobs = 0;
    }
    (void)stat(store->path, &info);
    (void)stat(log_path, &log_info);
    return (struct store_counters){.commits = store->commits,
                                   .records_committed = store->records_committed,
                                   .database_bytes = (uint64_t)(info.st_size + log_info.st_size),
                                   .jobs = (uint64_t)jobs};
}
