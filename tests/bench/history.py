#!/usr/bin/env python3
"""Write finished jobs into the database of a coordinator that does not run: a long history for
`triad bench dispatch --bench-state STATE --first JOBS`.

usage: history.py STATE JOBS

Rows are what a done no-op job leaves (job, spec, membership, attempt, counters); numbers follow those there. Columns
of later schemas are left to their defaults; one without a default is an error of SQLite's that names it.
"""
import sqlite3
import sys
import time

DONE = 3


def main():
    state, jobs = sys.argv[1], int(sys.argv[2])
    db = sqlite3.connect(f"{state}/state.db", isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -1000000")
    first = db.execute("SELECT coalesce(max(id), 0) + 1 FROM jobs").fetchone()[0]
    now = int(time.time() * 1000)
    db.execute("BEGIN")
    db.execute("INSERT OR IGNORE INTO experiments (name, created_ms, submitted_ms, manifest, plan)"
               " VALUES ('history', ?1, ?1, x'', x'')", (now,))
    experiment = db.execute("SELECT id FROM experiments WHERE name = 'history'").fetchone()[0]
    numbers = f"WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {first + jobs - 1})"
    db.execute(f"{numbers} INSERT INTO jobs (id, identity, kind, label, family, variant, task, seed, threads,"
               " memory_bytes, items_expected, work, priority, experiment_id, state, epoch, worker, numeric_class,"
               " submitted_ms, started_ms, ended_ms)"
               " SELECT i, randomblob(32), 4, 'noop', '', '', '', 0, 1, 0, 0, 0, 0, ?1, ?2, 1, 'bench-0', 'bench',"
               " ?3, ?3, ?3 FROM n", (experiment, DONE, now))
    db.execute(f"{numbers} INSERT INTO job_specs SELECT i, randomblob(8) FROM n")
    db.execute(f"{numbers} INSERT INTO experiment_jobs SELECT ?, i, 1 FROM n", (experiment,))
    db.execute(f"{numbers} INSERT INTO attempts (job_id, epoch, worker, numeric_class, start_step, started_ms, ended,"
               " ended_ms, committed) SELECT i, 1, 'bench-0', 'bench', 0, ?1, 1, ?1, 1 FROM n", (now,))
    db.execute("INSERT INTO experiment_counts VALUES (?1, ?2, ?3, 0)"
               " ON CONFLICT DO UPDATE SET jobs = jobs + ?3", (experiment, DONE, jobs))
    db.execute("COMMIT")
    db.close()
    print(f"{jobs} finished jobs from number {first} on in {state}/state.db")


if __name__ == "__main__":
    main()
