#!/usr/bin/env bash
# What `triad run` does about trouble: a killed coordinator and a killed worker are started again, Ctrl-C stops
# everything in order with status 130 and the same command goes on, a cancelled job gives status 6 and a hole in
# the table. The table is always that of the undisturbed run.
. "$(dirname "$0")/lib.sh"
manifest=$work/longer.yaml # long enough to be disturbed
sed 's/tokens: 60k/tokens: 700k/' "$TRIAD_SOURCE/tests/integration/tiny.yaml" >"$manifest"

note "undisturbed"
expect_status 0 triad run "$manifest" --state "$work/calm" --report-dir "$work/calm-report"

# run_in_background STATE [OPTION…]: its pid is in $run; output in STATE.out and STATE.log.
run_in_background() {
    local state=$1
    shift
    # Ctrl-C must reach it: a background job of a script ignores SIGINT unless it has a session of its own.
    env --default-signal=INT "$TRIAD_BIN/triad" run "$manifest" --state "$state" --poll-ms 100 "$@" >"$state.out" 2>"$state.log" &
    run=$!
    pids+=("$run")
}
finished_with() { local status=0; wait "$run" || status=$?; [ "$status" = "$1" ] || fail "triad run ended with $status, expected $1"; }
training() { triad status --state "$1" 2>/dev/null | grep -qE 'toy/PT/42 +[1-9][0-9]*/'; }
children() { tr ' ' '\n' <"/proc/$run/task/$run/children"; }
# child WORDS: the child of `triad run` whose command line has these words.
child() { local pid; for pid in $(children); do tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "$1" && echo "$pid"; done; }

note "coordinator and worker are killed"
state=$work/killed
run_in_background "$state" --workers 2 --report-dir "$work/killed-report"
wait_for 60 training "$state"
kill -9 "$(child triad-coordinator)"
wait_for 60 grep -q 'coordinator was killed by signal 9' "$state.log"
wait_for 60 training "$state"
for name in local-1 local-2; do kill -9 "$(child "--name $name")"; done
finished_with 0
grep -q 'local-1 was killed by signal 9.*starting it again' "$state.log" || fail "nobody says that a worker died"
same "$work/killed-report/report.csv" "$work/calm-report/report.csv"

note "Ctrl-C, and on"
state=$work/interrupted
run_in_background "$state" --report-dir "$work/interrupted-report"
wait_for 60 training "$state"
expect_status 9 triad run "$manifest" --state "$state"
before=$(children)
[ -n "$before" ] || fail "triad run has no children"
kill -INT "$run"
finished_with 130
for pid in $before; do kill -0 "$pid" 2>/dev/null && fail "a child outlives triad run"; done
grep -q 'the same command goes on from here' "$state.log" || fail "nobody says how to go on"
triad job show toy/PT --state "$state" --output json >"$work/show" 2>/dev/null
step=$(field "$work/show" resume_step | head -n 1)
[ "$step" -gt 0 ] || fail "the interrupted training left no checkpoint"
expect_status 0 triad run "$manifest" --state "$state" --report-dir "$work/interrupted-report"
triad job show toy/PT --state "$state" --output json >"$work/show" 2>/dev/null
[ "$(field "$work/show" start_step | sort -n | tail -n 1)" -ge "$step" ] || fail "the second run began the training anew"
same "$work/interrupted-report/report.csv" "$work/calm-report/report.csv"

note "a cancelled job is a hole"
state=$work/holes
run_in_background "$state" --report-dir "$work/holes-report"
wait_for 60 training "$state"
triad job cancel toy/ST --reason "not wanted" --state "$state"
finished_with 6
grep -q '3 of 9 jobs did not succeed' "$state.log" || fail "the run does not count what is missing"
grep -q 'ST is missing: aborted' "$state.out" || fail "the table does not show the hole"
triad job retry --experiment tiny --state "$state"
expect_status 0 triad run "$manifest" --state "$state" --report-dir "$work/holes-report"
same "$work/holes-report/report.csv" "$work/calm-report/report.csv"
