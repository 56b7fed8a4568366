#!/usr/bin/env bash
# A full disk under database and artifacts, and under a worker's spool: said clearly, nothing acknowledged is
# lost, and the experiment ends as usual once there is space again.
. "$(dirname "$0")/lib.sh"
manifest=$TRIAD_SOURCE/tests/integration/tiny.yaml
[ "$(id -u)" = 0 ] || skip "mounting a small tmpfs needs root"
mkdir -p "$work/small"
mount -t tmpfs -o size=64m tmpfs "$work/small" 2>/dev/null || skip "this machine does not let us mount a tmpfs"
unmount() { umount -l "$work/small" 2>/dev/null || true; }
trap 'unmount; cleanup' EXIT

note "undisturbed"
triad run "$manifest" --state "$work/calm" --report-dir "$work/calm-report" >/dev/null 2>"$work/calm.log"

state=$work/small/state
export TRIAD_STATE=$state
start_coordinator "$state"
triad submit "$manifest" 2>/dev/null
start_worker "$state" w1 --threads 2
one_done() { triad job list --output csv | grep -q ',done,'; }
wait_for 120 one_done
note "fill the disk"
dd if=/dev/zero of="$work/small/ballast" bs=1M 2>/dev/null || true
said() { grep -qiE 'no space|disk.*full|database or disk is full' "$state"/*.log "$work"/*.log 2>/dev/null; }
mkdir -p "$work/logs"
sleep 5
said || triad status 2>&1 | grep -qiE 'space|full' || fail "nobody says that the disk is full"
kill -0 "$coordinator" || fail "the coordinator died of a full disk"
note "make room"
rm "$work/small/ballast"
kill -0 "$worker" 2>/dev/null || start_worker "$state" w1 --threads 2
expect_status 0 triad watch tiny --timeout 400s
triad report tiny --format csv >"$work/report.csv"
same "$work/report.csv" "$work/calm-report/report.csv"
