#!/usr/bin/env python3
"""The lines and the summary of ops/bench-dispatch.

usage: dispatch_report.py head | add TABLE NAME <JSON | note TABLE NAME <TEXT | end TABLE RESULTS

`add` reads the JSON of one `triad bench dispatch` (or of dask_noop.py), appends it to TABLE with the machine's load
and prints a line; `note` does so with lines of text; `end` prints medians and ratios of the whole run and writes all of
it to RESULTS.
"""
import json
import os
import platform
import statistics
import sys

COLUMNS = [("jobs_per_s", "jobs/s", 9, 0), ("submit_per_s", "submit/s", 9, 0),
           ("coordinator_us_per_job", "coord. us", 9, 1), ("generator_us_per_job", "gen. us", 8, 1),
           ("memory_bytes_per_job", "B/job", 7, 0), ("records_per_s", "records/s", 10, 0),
           ("status_ms_p50", "status ms", 9, 1), ("status_ms_p99", "p99", 6, 1), ("status_ms_max", "max", 6, 1),
           ("submit_status_ms_max", "max*", 6, 1)]


def shown(value, width, digits):
    return f"{value:{width}.{digits}f}" if isinstance(value, (int, float)) else " " * (width - 1) + "-"


def line(name, row, load):
    cells = " ".join(shown(row.get(key), width, digits) for key, _, width, digits in COLUMNS)
    print(f"{name:44.44} {cells} {load:6.1f}", flush=True)


def head():
    print("* of the statuses asked during the submission; load: the machine's, over a minute")
    print(f"{'':44} " + " ".join(f"{title:>{width}}" for _, title, width, _ in COLUMNS) + "   load", flush=True)


def append(table, entry):
    with open(table, "a", encoding="utf-8") as out:
        out.write(json.dumps(entry) + "\n")


def note(table, name):
    text = sys.stdin.read()
    append(table, {"name": name, "load": os.getloadavg()[0], "rows": [{}], "text": text.splitlines()})
    print(f"{name}\n{text}", end="", flush=True)


def add(table, name):
    told = json.load(sys.stdin)
    load = os.getloadavg()[0]
    rows = told.get("rows", [told])
    entry = {"name": name, "load": load, "rows": rows}
    for key in ("metg_us", "totals"):
        if key in told:
            entry[key] = told[key]
    append(table, entry)
    if "tasks_per_s" in told:
        print(f"{name:44.44} {told['tasks_per_s']:9.0f}", flush=True)
    elif len(rows) > 1:
        metg = told.get("metg_us", told.get("totals", {}).get("metg_us"))
        print(f"{name:44.44} {metg:9.0f} us", flush=True)
    else:
        line(name, rows[0], load)


def median(entries, name, key):
    values = [e["rows"][0].get(key) for e in entries if e["name"] == name]
    values = [v for v in values if isinstance(v, (int, float))]
    return statistics.median(values) if values else None


def end(table, results):
    with open(table, encoding="utf-8") as lines:
        entries = [json.loads(text) for text in lines]
    names = list(dict.fromkeys(e["name"] for e in entries))
    base = median(entries, "100,000 jobs", "jobs_per_s")
    print("\nmedians, against 100,000 jobs")
    summary = {}
    for name in names:
        rate = median(entries, name, "jobs_per_s")
        if rate is None or not base:
            continue
        summary[name] = {key: median(entries, name, key) for key, _, _, _ in COLUMNS}
        print(f"{name:44.44} {rate:9.0f} jobs/s  {rate / base:5.2f} x   submit "
              f"{shown(summary[name]['submit_per_s'], 7, 0)}/s   coordinator "
              f"{shown(summary[name]['coordinator_us_per_job'], 5, 1)} us a job")
    dask = median(entries, "Dask.distributed, 2 workers", "tasks_per_s")
    beside = median(entries, "2 connections (beside Dask)", "jobs_per_s")
    if dask and beside:
        print(f"Triad with 2 connections / Dask.distributed with 2 workers: {beside / dask:.1f} x")
    worst = max((e["rows"][0].get("status_ms_max") or 0) for e in entries)
    print(f"the longest of all statuses while jobs were dispatched: {worst:.1f} ms")
    with open(results, "w", encoding="utf-8") as out:
        json.dump({"schema": "triad.bench_dispatch_all/1", "machine": platform.processor() or platform.machine(),
                   "cores": os.cpu_count(), "medians": summary, "runs": entries}, out, indent=1)
    print(f"written: {results}")


if __name__ == "__main__":
    if sys.argv[1] == "head":
        head()
    elif sys.argv[1] == "add":
        add(sys.argv[2], sys.argv[3])
    elif sys.argv[1] == "note":
        note(sys.argv[2], sys.argv[3])
    else:
        end(sys.argv[2], sys.argv[3])
