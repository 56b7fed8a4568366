-- The coordinator's memory. These tables are the truth; `events` explains and is never replayed.
-- Numbers of states, kinds, outcomes and streams are those of proto/vocab.h.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO meta VALUES ('boot', 0);

CREATE TABLE experiments (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    created_ms    INTEGER NOT NULL,
    submitted_ms  INTEGER NOT NULL,
    manifest      BLOB NOT NULL,
    plan          BLOB NOT NULL,
    numeric_class TEXT NOT NULL DEFAULT '',
    paused        INTEGER NOT NULL DEFAULT 0,
    priority      INTEGER NOT NULL DEFAULT 0,
    work_done     INTEGER NOT NULL DEFAULT 0 -- of jobs done since submitted_ms
);

-- Jobs of an experiment by state, kept with every change so that a status costs no scan.
CREATE TABLE experiment_counts (
    experiment_id INTEGER NOT NULL,
    state         INTEGER NOT NULL,
    jobs          INTEGER NOT NULL,
    work          INTEGER NOT NULL,
    PRIMARY KEY (experiment_id, state)
) WITHOUT ROWID;

-- id is the order of submission. The upper half never changes, the lower half is core_job_state.
CREATE TABLE jobs (
    id             INTEGER PRIMARY KEY,
    identity       BLOB NOT NULL UNIQUE,
    kind           INTEGER NOT NULL,
    label          TEXT NOT NULL,
    family         TEXT NOT NULL,
    variant        TEXT NOT NULL,
    task           TEXT NOT NULL,
    seed           INTEGER NOT NULL,
    threads        INTEGER NOT NULL,
    memory_bytes   INTEGER NOT NULL,
    items_expected INTEGER NOT NULL,
    work           INTEGER NOT NULL,
    priority       INTEGER NOT NULL,
    experiment_id  INTEGER NOT NULL DEFAULT 0, -- the one that queued it last
    again          INTEGER NOT NULL DEFAULT 0, -- tries after each failure class, a byte each
    backoff_ms     INTEGER NOT NULL DEFAULT 0,
    backoff_ms_max INTEGER NOT NULL DEFAULT 0,
    memory_growth  INTEGER NOT NULL DEFAULT 0,
    labels         TEXT NOT NULL DEFAULT '',
    time_limit_s   INTEGER NOT NULL DEFAULT 0,
    ranks          INTEGER NOT NULL DEFAULT 1,

    state          INTEGER NOT NULL DEFAULT 0,
    reason         TEXT NOT NULL DEFAULT '',
    epoch          INTEGER NOT NULL DEFAULT 0,
    attempts_spent INTEGER NOT NULL DEFAULT 0,
    attempts_free  INTEGER NOT NULL DEFAULT 0,
    attempts_max   INTEGER NOT NULL DEFAULT 1,
    outcome        INTEGER NOT NULL DEFAULT 0,
    failure_digest INTEGER NOT NULL DEFAULT 0,
    failure_worker INTEGER NOT NULL DEFAULT 0,
    worker         TEXT NOT NULL DEFAULT '',
    resume         BLOB,
    resume_step    INTEGER NOT NULL DEFAULT 0,
    artifact       BLOB,
    records        BLOB,
    items          INTEGER NOT NULL DEFAULT 0,
    numeric_class  TEXT NOT NULL DEFAULT '',
    submitted_ms   INTEGER NOT NULL DEFAULT 0,
    started_ms     INTEGER NOT NULL DEFAULT 0,
    ended_ms       INTEGER NOT NULL DEFAULT 0,
    failures       INTEGER NOT NULL DEFAULT 0 -- ended attempts by class, a byte each
);
-- Start-up reads these only: 3 is the first final state.
CREATE INDEX jobs_unfinished ON jobs (id) WHERE state < 3;

-- Apart from jobs, so that a change of state does not write the spec again.
CREATE TABLE job_specs (
    job_id INTEGER PRIMARY KEY,
    spec   BLOB NOT NULL
);
CREATE TABLE job_inputs (
    job_id INTEGER NOT NULL,
    place  INTEGER NOT NULL,
    name   TEXT NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (job_id, place)
) WITHOUT ROWID;
CREATE TABLE job_parents (
    job_id INTEGER NOT NULL,
    place  INTEGER NOT NULL,
    name   TEXT NOT NULL,
    parent BLOB NOT NULL, -- identity
    PRIMARY KEY (job_id, place)
) WITHOUT ROWID;
CREATE INDEX job_children ON job_parents (parent);

-- wanted: 0 once the experiment was cancelled.
CREATE TABLE experiment_jobs (
    experiment_id INTEGER NOT NULL,
    job_id        INTEGER NOT NULL,
    wanted        INTEGER NOT NULL,
    PRIMARY KEY (experiment_id, job_id)
) WITHOUT ROWID;
CREATE INDEX job_experiments ON experiment_jobs (job_id, wanted);

CREATE TABLE attempts (
    job_id            INTEGER NOT NULL,
    epoch             INTEGER NOT NULL,
    worker            TEXT NOT NULL,
    numeric_class     TEXT NOT NULL,
    start_step        INTEGER NOT NULL,
    started_ms        INTEGER NOT NULL,
    ended             INTEGER NOT NULL DEFAULT 0,
    ended_ms          INTEGER NOT NULL DEFAULT 0,
    outcome           INTEGER NOT NULL DEFAULT 0,
    committed         INTEGER NOT NULL DEFAULT 0,
    reason            TEXT NOT NULL DEFAULT '',
    wall_ms           INTEGER NOT NULL DEFAULT 0,
    cpu_ms            INTEGER NOT NULL DEFAULT 0,
    memory_peak_bytes INTEGER NOT NULL DEFAULT 0,
    exit_signal       INTEGER NOT NULL DEFAULT 0,
    exit_code         INTEGER NOT NULL DEFAULT 0,
    items             INTEGER NOT NULL DEFAULT 0,
    artifact          BLOB,
    records           BLOB,
    PRIMARY KEY (job_id, epoch)
) WITHOUT ROWID;

-- Record batches of attempts that did not commit are deleted when the attempt ends.
CREATE TABLE batches (
    id      INTEGER PRIMARY KEY,
    job_id  INTEGER NOT NULL,
    epoch   INTEGER NOT NULL,
    stream  INTEGER NOT NULL,
    place   INTEGER NOT NULL, -- 0, 1, … without a gap
    items   INTEGER NOT NULL,
    crc32c  INTEGER NOT NULL,
    payload BLOB NOT NULL,
    UNIQUE (job_id, epoch, stream, place)
);

CREATE TABLE workers (
    name          TEXT PRIMARY KEY,
    instance      BLOB NOT NULL,
    host          TEXT NOT NULL,
    numeric_class TEXT NOT NULL,
    version       TEXT NOT NULL,
    host_cores    INTEGER NOT NULL,
    threads       INTEGER NOT NULL,
    memory_bytes  INTEGER NOT NULL,
    hello_ms      INTEGER NOT NULL,
    node          TEXT NOT NULL DEFAULT '',
    labels        TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;

CREATE TABLE quarantined_hosts (
    name    TEXT PRIMARY KEY,
    reason  TEXT NOT NULL,
    time_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE events (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    time_ms INTEGER NOT NULL,
    job_id  INTEGER NOT NULL, -- 0: none
    epoch   INTEGER NOT NULL,
    what    TEXT NOT NULL,
    detail  TEXT NOT NULL
);
-- For what happened to one job.
CREATE INDEX events_of_job ON events (job_id) WHERE job_id <> 0;

-- State of parts that keep it as one text: 'allocations' (coordinator/alloc).
CREATE TABLE documents (
    name TEXT PRIMARY KEY,
    body TEXT NOT NULL
) WITHOUT ROWID;
