#!/usr/bin/env bash
# A coordinator and workers on hosts of their own (network namespaces), and what happens to networks between them:
# 200 ms of delay, 5 % loss, a partition, a cut of one direction only, a worker that comes back under another address,
# a coordinator that moves. Work goes on or resumes; the table is the undisturbed one.

. "$(dirname "$0")/hosts_lib.sh"
own_world "$@"
. "$(dirname "$0")/lib.sh"
bad_link=${TRIAD_BAD_LINK:?set by ctest}

make_world
make_host c
make_host w
echo "10.78.0.1 coordinator-host" >>"$work/hosts"
mkfifo "$work/orders"
"$bad_link" c 10.78.0.1/24 w 10.78.0.2/24 7 <"$work/orders" >"$work/link.log" 2>&1 &
pids+=("$!")
exec 9>"$work/orders"
wait_for 60 grep -q ready "$work/link.log"
order() { echo "$*" >&9; sleep 0.2; }
# The person sits at the coordinator.
at() { on c timeout 280 "$TRIAD_BIN/triad" "$@"; }

calm "$manifest"

start_coordinator_at() {
    daemon_on c "$work/coordinator.log" "$TRIAD_BIN/triad-coordinator" --state "$state" --keys "$state/keys" \
        --listen 0.0.0.0 --advertise coordinator-host --worker-port 7001 --client-port 7002 --data-port 7003 \
        --heartbeat-ms 500 --lease-ms 4000
    coordinator=${pids[-1]}
    wait_for 60 at coordinator info --state "$state"
}
start_worker_at() {
    daemon_on w "$work/$1.log" "$TRIAD_BIN/triad-worker" --access "$state/worker.access" --dir "$state-$1" --name "$1" \
        --threads 1 --grace 3
    worker=${pids[-1]}
}
some_running() { at status tiny --output csv | grep -q running || at job list --output csv | grep -q ',running,'; }
# campaign WHAT COMMAND…: from nothing to the table; the command does the damage once something runs.
number=0
campaign() {
    local what=$1
    shift
    note "$what"
    number=$((number + 1))
    state=$work/state$number
    export TRIAD_STATE=$state
    mkdir -p "$state"
    triad keys init 2>/dev/null
    start_coordinator_at
    start_worker_at "w$number"
    at submit "$manifest" >/dev/null 2>&1
    wait_for 120 some_running
    "$@"
    at watch tiny --timeout 250s >/dev/null 2>"$work/watch.log" || { cat "$work/watch.log"; at job list; fail "$what: the watch ended with $?"; }
    at report tiny --format csv >"$work/report.csv"
    same "$work/report.csv" "$work/calm-report/report.csv"
    kill "$worker" 2>/dev/null || true
    wait_for 60 has_ended "$worker"
    at coordinator stop 2>/dev/null || true
    wait_for 60 has_ended "$coordinator"
    order join
    order delay 0
    order loss 0
}

order delay 100 # each way: a round trip of 200 ms
campaign "200 ms of delay" true
order loss 5
campaign "5 % of all packets lost" true

partition() { order cut both; sleep 9; order join; }
campaign "a partition, longer than a lease" partition
grep -q 'not_connected\|connected' "$work/w$number.log" || fail "the worker did not notice"

half_cut() { order cut a; sleep 9; order join; }
campaign "only the coordinator cannot be heard" half_cut
other_half_cut() { order cut b; sleep 9; order join; }
campaign "only the worker cannot be heard" other_half_cut

new_address() { on w ip addr add 10.78.0.77/24 dev wire; on w ip addr del 10.78.0.2/24 dev wire; on w ip addr add 10.78.0.77/24 dev wire 2>/dev/null || true; }
campaign "a worker under another address" new_address
on w ip addr show dev wire >"$work/addresses"
grep -q '10\.78\.0\.77/' "$work/addresses" || fail "this test did not change the address"

moved() {
    kill -9 "$coordinator"
    on c ip addr add 10.78.0.99/24 dev wire
    on c ip addr del 10.78.0.1/24 dev wire
    on c ip addr add 10.78.0.99/24 dev wire 2>/dev/null || true
    echo "127.0.0.1 localhost
10.78.0.99 coordinator-host" >"$work/hosts"
    start_coordinator_at
}
campaign "a coordinator that moved to another address" moved
exit 0
