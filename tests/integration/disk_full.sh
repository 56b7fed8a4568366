#!/usr/bin/env bash
# A full disk under database and artifacts, then one under a worker's folder: said clearly, nothing acknowledged
# is lost, and the experiment ends as usual once there is space again.

# The small disks are mounted in a namespace of our own: they go with its last process, however this ends.
if [ -z "${TRIAD_TEST_MOUNTS:-}" ]; then
    as_root=(--user --map-root-user)
    [ "$(id -u)" != 0 ] || as_root=()
    unshare "${as_root[@]}" --mount mount -t tmpfs tmpfs /mnt 2>/dev/null ||
        { echo "SKIP: neither as root nor in a user namespace may a tmpfs be mounted here"; exit 77; }
    TRIAD_TEST_MOUNTS=private exec unshare "${as_root[@]}" --mount "$0"
fi
. "$(dirname "$0")/lib.sh"

# small_disk FOLDER MIB
small_disk() {
    mkdir -p "$1"
    mount -t tmpfs -o "size=$2m" tmpfs "$1"
    mounts+=("$1")
}
# fill FOLDER: to the last page.
fill() { dd if=/dev/zero of="$1/ballast" bs=64k 2>/dev/null || dd if=/dev/zero of="$1/crumbs" bs=4k 2>/dev/null || true; }
make_room() { rm -f "$1/ballast" "$1/crumbs"; }

calm "$manifest"

# coordinator_disk DISK STATE WHAT: fill the disk of a coordinator and make room again.
coordinator_disk() {
    note "the coordinator's disk: $3"
    small_disk "$1" 64
    export TRIAD_STATE=$2
    start_coordinator "$2"
    triad submit "$manifest" >/dev/null 2>&1
    worker_dir=$work/worker-of-$(basename "$2") start_worker "$2" w1 --threads 1 # on a disk of its own
    watch_in_background
    wait_for 120 some_done 1
    done_jobs >"$work/before.csv"
    fill "$1"
    wait_for 60 status_says 'disk full'
    grep 'disk full' "$work/out"
    wait_for 60 grep -q 'disk full' "$work/coordinator.log"
    wait_for 60 grep -q 'disk full' "$work/watch.log"
    sleep 3 # time for whoever would give up
    kill -0 "$coordinator" 2>/dev/null || fail "the coordinator died of a full disk"
    kill -0 "$watcher" 2>/dev/null || fail "the watch gave up: $(cat "$work/watch.log")"
    make_room "$1"
    ends_as_usual
    kill "$worker"
    wait_for 60 has_ended "$worker"
    triad coordinator stop 2>/dev/null || true
    rm "$work/coordinator.log"
}
coordinator_disk "$work/small" "$work/small/state" "database and artifacts"
coordinator_disk "$work/state1/blobs" "$work/state1" "artifacts alone"

note "a worker's disk: spool, cache and work"
small_disk "$work/small-worker" 64
state=$work/state2
export TRIAD_STATE=$state
start_coordinator "$state"
triad submit "$manifest" >/dev/null 2>&1
worker_dir=$work/small-worker/w2 start_worker "$state" w2 --threads 1
watch_in_background
wait_for 120 some_done 1
done_jobs >"$work/before.csv"
fill "$work/small-worker"
wait_for 90 grep -q 'No space left on device' "$work/w2.log"
grep 'No space left on device' "$work/w2.log" | tail -n 1
sleep 3
kill -0 "$worker" 2>/dev/null || fail "the worker died of a full disk"
make_room "$work/small-worker"
ends_as_usual
