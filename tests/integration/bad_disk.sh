#!/usr/bin/env bash
# A disk that fails under a coordinator: real EIO from a block device that lies on a full disk, then a file system
# that its kernel made read-only after an error. Said clearly, nothing acknowledged is lost, work goes on when the disk
# works again; and what was acknowledged is on the disk itself, not in the kernel's memory.

if [ -z "${TRIAD_TEST_MOUNTS:-}" ]; then
    probe=$(mktemp)
    truncate -s 1M "$probe"
    [ "$(id -u)" = 0 ] && command -v mkfs.ext4 losetup >/dev/null && device=$(losetup --find --show "$probe" 2>/dev/null)
    can=$?
    [ $can != 0 ] || losetup -d "$device"
    rm "$probe"
    [ $can = 0 ] || { echo "SKIP: no loop device may be made here (root and mkfs.ext4 are needed)"; exit 77; }
    TRIAD_TEST_MOUNTS=private exec unshare --mount --propagation private "$0"
fi
. "$(dirname "$0")/lib.sh"

# thin_disk FOLDER ERRORS: an ext4 of 64 MiB that takes its blocks from a tmpfs of 90 when they are written.
thin_disk() {
    mkdir -p "$1-under" "$1"
    mount -t tmpfs -o size=90m tmpfs "$1-under"
    mounts+=("$1-under")
    dd if=/dev/zero of="$1-under/image" bs=1M count=64 2>/dev/null
    mkfs.ext4 -q -F -m 0 -N 2048 -O ^has_journal -E lazy_itable_init=0,nodiscard "$1-under/image"
    attach "$1" "$2"
    mounts=("$1" "${mounts[@]}")
    # Every inode is written once: its own blocks stay when those for files are given back.
    (cd "$1" && seq 2030 | xargs touch 2>/dev/null) || true
    sync -f "$1"
    rm -f "$1"/[0-9]*
    sync -f "$1"
    fstrim "$1"
}
attach() { mount -o "loop,errors=$2" "$1-under/image" "$1"; }
# From the medium, not from memory.
attach_again() {
    umount "$1"
    fsck.ext4 -p "$1-under/image" >/dev/null || [ $? -le 1 ] || fail "the file system is broken"
    attach "$1" "$2"
}
no_blocks_left() { dd if=/dev/zero of="$1-under/ballast" bs=4k 2>/dev/null || true; }
blocks_again() { rm -f "$1-under/ballast"; }

begin() {
    export TRIAD_STATE=$1/state
    start_coordinator "$TRIAD_STATE"
    triad submit "$manifest" >/dev/null 2>&1
    worker_dir=$work/worker-of-$(basename "$1") start_worker "$TRIAD_STATE" w1 --threads 1 # on a disk that works
    watch_in_background
    wait_for 120 some_done 2
    done_jobs >"$work/before.csv"
}
# in_trouble WORDS: clients and the log are told, and the process lives on.
in_trouble() {
    wait_for 90 status_says "$1"
    grep "$1" "$work/out"
    grep -q "storage_trouble.*$1" "$work/coordinator.log" || fail "the coordinator's log does not say '$1'"
    sleep 3 # time for whoever would give up
    kill -0 "$coordinator" 2>/dev/null || fail "the coordinator died"
    kill -0 "$watcher" 2>/dev/null || fail "the watch gave up: $(cat "$work/watch.log")"
}
stop_all() {
    kill "$worker"
    wait_for 20 has_ended "$worker"
    kill_hard "$coordinator"
}

calm "$manifest"

note "EIO: a block device that has no room for what is written"
disk=$work/thin
thin_disk "$disk" continue
begin "$disk"
no_blocks_left "$disk"
in_trouble 'Input/output error'
blocks_again "$disk"
ends_as_usual
stop_all
note "what was acknowledged is on the medium"
attach_again "$disk" continue
start_coordinator "$TRIAD_STATE"
same_report tiny
done_jobs | cut -d, -f1-5 >"$work/read-again.csv"
cut -d, -f1-5 "$work/after.csv" >"$work/told.csv"
same "$work/told.csv" "$work/read-again.csv"
triad coordinator stop 2>/dev/null
wait_for 20 has_ended "$coordinator"
rm "$work/coordinator.log"

note "a file system that went read-only"
disk=$work/broken
thin_disk "$disk" remount-ro
begin "$disk"
echo 1 >"/sys/fs/ext4/$(basename "$(findmnt -no SOURCE "$disk")")/trigger_fs_error"
in_trouble 'Read-only file system\|Input/output error' # an fsync may be told the latter
kill "$worker" # it keeps what it cannot deliver
wait_for 60 has_ended "$worker"
kill "$coordinator"
wait_for 20 has_ended "$coordinator"
expect_status 1 "$TRIAD_BIN/triad-coordinator" --state "$TRIAD_STATE"
said 'Read-only file system'
attach_again "$disk" remount-ro
start_coordinator "$TRIAD_STATE"
worker_dir=$work/worker-of-broken start_worker "$TRIAD_STATE" w1 --threads 1
ends_as_usual
stop_all
umount "$work/thin" "$work/broken"
mounts=("$work/thin-under" "$work/broken-under")
