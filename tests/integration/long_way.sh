#!/usr/bin/env bash
# The long way: keys, coordinator, worker, submit, status, job verbs, report, drain, stop; and the exit codes
# of what cannot be.
. "$(dirname "$0")/lib.sh"
manifest=$TRIAD_SOURCE/tests/integration/tiny.yaml
state=$work/state
export TRIAD_STATE=$state

expect_status 5 triad status
triad keys init
expect_status 9 triad keys init
start_coordinator "$state"
[ "$(stat -c %a "$state/worker.access")" = 600 ] || fail "worker.access can be read by others"
expect_status 0 triad submit "$manifest"
expect_status 0 triad job list --output json
grep -q NoWorkers "$work/out" || { cat "$work/out"; fail "nobody says that there are no workers"; }
expect_status 7 triad watch tiny --timeout 1s
start_worker "$state" w1 --threads 2
expect_status 0 triad watch tiny --timeout 300s
expect_status 0 triad status tiny --output json
expect_status 0 triad submit "$manifest" --wait
grep -q '0 new' "$work/err" || { cat "$work/err"; fail "the second submit is not all reuse"; }
expect_status 0 triad report tiny --format csv
[ "$(wc -l <"$work/out")" -gt 4 ] || { cat "$work/out"; fail "the report is empty"; }
expect_status 0 triad report tiny
expect_status 0 triad job show toy/PT --output json
expect_status 0 triad job logs toy/PT
expect_status 4 triad job show toy/NOPE
expect_status 4 triad report nope
expect_status 0 triad metrics export toy/PT
grep -q loss_nats "$work/out" || fail "no training curve"
expect_status 0 triad worker list --output csv
grep -q w1 "$work/out" || fail "the worker is not listed"
expect_status 0 triad worker drain w1
wait_for 30 bash -c "! kill -0 $worker 2>/dev/null"
expect_status 0 triad coordinator info --output json
expect_status 0 triad coordinator stop
wait_for 20 bash -c "! kill -0 $coordinator 2>/dev/null"

note "what is wrong is said"
printf 'experiment: x\nfamiles: {}\n' >"$work/bad.yaml"
expect_status 3 triad plan "$work/bad.yaml"
grep -q "bad.yaml:2:1: .*did you mean 'families'" "$work/err" || { cat "$work/err"; fail "no file:line:column or hint"; }
expect_status 2 triad statsu
grep -q "did you mean 'status'" "$work/err" || fail "no hint for a mistyped command"
