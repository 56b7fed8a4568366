#!/usr/bin/env bash
# kill -9 of a training worker after a checkpoint above step 0 was acknowledged: the next attempt starts above 0
# on another worker, and weights and optimizer state end as if nothing had happened.
. "$(dirname "$0")/lib.sh"
manifest=$TRIAD_SOURCE/tests/integration/tiny.yaml

note "undisturbed"
triad run "$manifest" --state "$work/calm" --report-dir "$work/calm-report" >/dev/null 2>"$work/calm.log"

note "disturbed"
state=$work/state
export TRIAD_STATE=$state
start_coordinator "$state"
triad submit "$manifest" 2>/dev/null
start_worker "$state" victim --threads 1
victim=$worker
checkpoint_above_zero() {
    triad job show toy/PT --output json >"$work/show" || return 1
    [ "$(field "$work/show" resume_step | head -n 1)" -gt 0 ]
}
wait_for 120 checkpoint_above_zero
kill -9 "$victim"
triad job show toy/PT --output json >"$work/show"
grep -q '"state": "done"' "$work/show" && fail "the training ended before it could be disturbed"
start_worker "$state" heir --threads 1
expect_status 0 triad watch tiny --timeout 300s
triad job show toy/PT --output json >"$work/show"
start=$(field "$work/show" start_step | sort -n | tail -n 1)
[ "$start" -gt 0 ] || { cat "$work/show"; fail "the second attempt started at step $start"; }
grep -q heir "$work/show" || fail "the second attempt did not run on the other worker"
triad report tiny --format csv >"$work/report.csv"
same "$work/report.csv" "$work/calm-report/report.csv"
kill "$worker" && wait "$worker" 2>/dev/null || true
triad coordinator stop
for s in "$work/calm" "$state"; do
    triad job list --experiment tiny --state "$s" --output csv | cut -d, -f1- | grep -oE '^[0-9a-f]{64}|,[0-9a-f]{64}' | sort >"$s.digests"
done
same "$work/calm.digests" "$state.digests"
