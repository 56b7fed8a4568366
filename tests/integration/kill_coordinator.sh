#!/usr/bin/env bash
# kill -9 of the coordinator while records stream, then of coordinator and worker together: the table is
# byte-identical to the undisturbed run's.
. "$(dirname "$0")/lib.sh"
manifest=$TRIAD_SOURCE/tests/integration/tiny.yaml

note "undisturbed"
triad run "$manifest" --state "$work/calm" --report-dir "$work/calm-report" >/dev/null 2>"$work/calm.log"

state=$work/state
export TRIAD_STATE=$state
start_coordinator "$state"
ports=()
for pair in worker:worker client:client; do
    port=$(field "$state/${pair#*:}.access" endpoint | grep -oE '[0-9]+$')
    ports+=("--${pair%:*}-port" "$port")
done
ports+=(--data-port "$(field "$state/client.access" data_endpoint | grep -oE '[0-9]+$')")
triad submit "$manifest" 2>/dev/null
start_worker "$state" w1 --threads 2

some_records() {
    triad job list --experiment tiny --output csv >"$work/jobs.csv" && [ "$(grep -c ',done,' "$work/jobs.csv")" -ge "$1" ] && grep -q running "$work/jobs.csv"
}
note "kill the coordinator while an evaluation runs"
wait_for 180 some_records 3
kill -9 "$coordinator"
sleep 1
start_coordinator "$state" "${ports[@]}"
note "kill both"
wait_for 180 some_records 5
kill -9 "$coordinator" "$worker"
start_coordinator "$state" "${ports[@]}"
start_worker "$state" w1 --threads 2
expect_status 0 triad watch tiny --timeout 300s
triad report tiny --format csv >"$work/report.csv"
same "$work/report.csv" "$work/calm-report/report.csv"
