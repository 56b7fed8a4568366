#!/usr/bin/env python3
"""No-op tasks through Dask.distributed (Debian python3-distributed), for the ratio to `triad bench dispatch`.

Counted like there: a task is submitted beforehand or timed apart, runs on a worker process with its own
connection, and its end is known to the client. Dask keeps nothing on a disk and, by default, encrypts nothing.

usage: dask_noop.py [TASKS [WORKERS]]     prints one JSON object
"""
import json
import sys
import time

import distributed
from distributed import Client, LocalCluster


def noop(number):
    return number


def main():
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    cluster = LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1",
                           dashboard_address=None)
    client = Client(cluster)
    client.gather(client.map(noop, range(workers * 10), pure=False))  # workers are warm
    begin = time.perf_counter()
    futures = client.map(noop, range(tasks), pure=False)
    client.gather(futures)
    seconds = time.perf_counter() - begin
    print(json.dumps({"distributed": distributed.__version__, "tasks": tasks, "workers": workers,
                      "seconds": seconds, "tasks_per_s": tasks / seconds}))
    client.close()
    cluster.close()


if __name__ == "__main__":
    main()
