#!/usr/bin/env bash
# kill -9 of the coordinator while records stream, then of coordinator and worker together: the table is
# byte-identical to the undisturbed run's.
. "$(dirname "$0")/lib.sh"

# Evaluations of many batches of records, so that one can be caught in the middle.
sed -e 's/max_sequences: 24/max_sequences: 1000/' "$manifest" >"$work/long.yaml"
calm "$work/long.yaml"

state=$work/state
export TRIAD_STATE=$state
start_coordinator "$state"
triad submit "$work/long.yaml" 2>/dev/null
start_worker "$state" w1 --threads 1

# Some evaluation is running and has stored batches, and its worker is stopped. Its id is in $caught, the number
# of batches in $batches.
is_streaming() {
    show "$1" && [ "$(field "$work/show" state)" = running ] &&
        batches=$(field "$work/show" record_batches | tail -n 1) && [ "$batches" -gt 0 ]
}
catch_streaming() {
    local job
    for job in $(triad job list --jobs-state running --output csv | grep ',evaluate,' | cut -d, -f1); do
        is_streaming "$job" || continue
        kill -STOP "$worker"
        caught=$job
        is_streaming "$job" && return 0
        kill -CONT "$worker"
    done
    return 1
}

note "kill the coordinator while an evaluation streams"
wait_for 120 catch_streaming
echo "job ${caught:0:12} with $batches batches stored"
kill_hard "$coordinator"
start_coordinator "$state"
is_streaming "$caught" || { cat "$work/show"; fail "the restarted coordinator does not know the running evaluation"; }
[ "$batches" = "$(field "$work/show" record_batches | tail -n 1)" ] || fail "batches were lost"
first=$caught
kill -CONT "$worker"

note "kill both"
other_job() { catch_streaming && { [ "$caught" != "$first" ] || { kill -CONT "$worker"; return 1; }; }; }
wait_for 120 other_job
echo "job ${caught:0:12} with $batches batches stored"
kill_hard "$coordinator" "$worker"
start_coordinator "$state"
start_worker "$state" w1 --threads 1
expect_status 0 triad watch tiny --timeout 200s
show "$first"
[ "$(field "$work/show" attempts | head -n 1)" = 1 ] || { cat "$work/show"; fail "the worker did not go on with its attempt"; }
show "$caught"
[ "$(field "$work/show" attempts | head -n 1)" = 2 ] || { cat "$work/show"; fail "the dead worker's attempt was not repeated"; }
same_report tiny
# The last column is the attempt.
triad records export tiny | sed 's/,[^,]*$//' >"$work/records.csv"
sed 's/,[^,]*$//' "$work/calm-report/records.csv" >"$work/calm-records.csv"
same "$work/records.csv" "$work/calm-records.csv"
