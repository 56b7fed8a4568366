-- From schema 1 to 2: retry policies, labels, time limits, pauses, quarantined hosts, counts by state.

ALTER TABLE experiments ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE experiments ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE experiments ADD COLUMN work_done INTEGER NOT NULL DEFAULT 0;

CREATE TABLE experiment_counts (
    experiment_id INTEGER NOT NULL,
    state         INTEGER NOT NULL,
    jobs          INTEGER NOT NULL,
    work          INTEGER NOT NULL,
    PRIMARY KEY (experiment_id, state)
) WITHOUT ROWID;
INSERT INTO experiment_counts
    SELECT m.experiment_id, j.state, count(*), sum(j.work)
    FROM experiment_jobs m JOIN jobs j ON j.id = m.job_id GROUP BY m.experiment_id, j.state;
UPDATE experiments SET work_done =
    (SELECT coalesce(sum(j.work), 0) FROM experiment_jobs m JOIN jobs j ON j.id = m.job_id
     WHERE m.experiment_id = experiments.id AND j.state = 3
       AND j.ended_ms >= experiments.submitted_ms);

ALTER TABLE jobs ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN backoff_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN backoff_ms_max INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN memory_growth INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN labels TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN time_limit_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;

ALTER TABLE workers ADD COLUMN node TEXT NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN labels TEXT NOT NULL DEFAULT '';

CREATE TABLE quarantined_hosts (
    name    TEXT PRIMARY KEY,
    reason  TEXT NOT NULL,
    time_ms INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX events_of_job ON events (job_id) WHERE job_id <> 0;
