#!/usr/bin/env bash
# The disk of the state is lost and the newest copy put back, while a worker computes on: what the copy does not know
# is computed again, the worker comes back by itself, and the report is that of a quiet run.
. "$(dirname "$0")/lib.sh"

sed -e 's/tokens: 60k/tokens: 297k/' -e 's/batch_tokens: 2048/batch_tokens: 1024/' "$manifest" >"$work/long.yaml"
calm "$work/long.yaml"

state=$work/state
export TRIAD_STATE=$state
start_coordinator "$state" --heartbeat-ms 500 --lease-ms 6000
triad submit "$work/long.yaml" 2>/dev/null
worker_dir=$work/worker
start_worker "$state" w1 --threads 1
batches() { show toy/PT && field "$work/show" metric_batches | tail -n 1; }
has_batches() { [ "$(batches)" -ge "$1" ]; }
went_on() { has_batches "$1" || [ "$(field "$work/show" state)" = done ]; }
wait_for 120 has_batches 1
kill -STOP "$worker"
expect_status 0 triad backup "$work/copy"
copied=$(batches)
kill -CONT "$worker"
wait_for 120 went_on $((copied + 2)) # acknowledged, and not in the copy

note "the disk is lost, the copy put back"
kill_hard "$coordinator"
mv "$state" "$work/lost"
cp -a "$work/copy" "$state"
cp -a "$work"/lost/*.access "$state" # the ports that workers and clients know
start_coordinator "$state" --heartbeat-ms 500 --lease-ms 6000
expect_status 0 triad watch tiny --timeout 200s
same_report tiny
