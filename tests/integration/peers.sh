#!/usr/bin/env bash
# One checkpoint and many who evaluate it: workers fetch it from each other, and the coordinator sends next to
# nothing; a worker killed while it fetches a blob goes on where it was when it comes again; a serving worker killed in
# the middle of a blob is left at the same byte; a revoked key is named to nobody any more; with --shared-store nothing at
# all goes over the sockets. Every table is that of the calm run.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers_lib.sh"
calm "$work/calm.yaml"

note "two workers fetch from the one that trained"
state=$work/state
export TRIAD_STATE=$state
start_coordinator "$state"
# On one machine the store's folder is in sight of all: these are told to look for it where it is not.
far=(--shared-store "$work/nowhere" --data-listen 127.0.0.1 --threads 1)
triad submit "$work/first.yaml" 2>/dev/null
start_worker "$state" origin "${far[@]}"
origin=$worker
wait_for 120 trained
size=$(stat -c %s "$(find "$state/blobs" -type f -size +50M | head -n 1)")
for name in one two; do
    start_worker "$state" $name --label fetch "${far[@]}"
    declare "$name=$worker"
done
expect_status 0 triad watch peers --timeout 200s
for name in one two; do
    wait_for 20 reaches $name peer_bytes "$size"
    [ "$(traffic $name coordinator_bytes)" -lt 2000000 ] || { cat "$work/traffic"; fail "$name asked the coordinator"; }
    is $name shared_bytes 0 || fail "$name found the folder that it must not see"
done
wait_for 20 reaches origin served_bytes "$size"
kill "$one" "$two"
for pid in "$one" "$two"; do wait_for 30 has_ended "$pid"; done

note "a worker killed while it fetches goes on where it was"
triad submit "$work/peers.yaml" 2>/dev/null
folder=$state/workers/late
start_worker "$state" late --label fetch "${far[@]}"
stop_at 4000000 "$folder" "$origin"
kill_hard "$worker"
kept=$(($(part_bytes "$folder") / 262144 * 262144)) # whole chunks
kill -CONT "$origin"
start_worker "$state" late --label fetch "${far[@]}"
late=$worker

note "the one that serves is killed in the middle of the blob"
stop_at $((kept + 4000000)) "$folder" "$origin"
kill_hard "$origin"
expect_status 0 triad watch peers --timeout 200s
grep -q 'peer_left worker=origin' "$work/late.log" || fail "the transfer was over before it could be disturbed"
moved=$(sed -n 's/.*peer_left worker=origin.*moved=\([0-9]*\).*/\1/p' "$work/late.log" | head -n 1)
[ "$moved" -ge $((kept + 4000000)) ] || fail "it was left after $moved bytes, not in the middle"
grep -q "fetch_resumed .* kept=$kept of=$size" "$work/late.log" || fail "it did not go on with $kept bytes"
wait_for 40 reaches late coordinator_bytes $((size - moved))
[ "$(traffic late coordinator_bytes)" -lt $((size - moved + 2000000)) ] || fail "more than the rest was sent again"
# The two parts and the kept one are the blob; small files come beside it.
both=$(($(traffic late coordinator_bytes) + $(traffic late peer_bytes)))
[ "$both" -ge $((size - kept)) ] && [ "$both" -lt $((size - kept + 2000000)) ] ||
    fail "$both bytes were sent to it after it was killed, not $((size - kept))"
echo "a blob of $size bytes: $kept were kept by the killed worker, $both sent to the one that came again"
same_report peers

note "a worker whose key is revoked is named to nobody"
triad keys export stranger --worker --out "$work/stranger.access" 2>/dev/null
daemon "$work/stranger.log" "$TRIAD_BIN/triad-worker" --access "$work/stranger.access" --dir "$work/stranger" \
    --name stranger --grace 1 "${far[@]}"
serves() { traffic "$1" endpoint | grep -q tcp; }
wait_for 60 serves stranger
triad keys revoke stranger
serves_not() { ! serves "$1"; }
wait_for 20 serves_not stranger
serves late || fail "who was not revoked is not named either"
kill "$late"
triad coordinator stop 2>/dev/null || true
wait_for 60 has_ended "$coordinator"

note "a shared store: nothing goes over the sockets, and a store that is not there is never an empty one"
state=$work/shared
export TRIAD_STATE=$state
start_coordinator "$state" --shared-store "$work/store"
start_worker "$state" origin --threads 1
triad submit "$work/peers.yaml" 2>/dev/null
wait_for 120 trained
start_worker "$state" other --threads 1 --label fetch --shared-store "$work/store"
expect_status 0 triad watch peers --timeout 200s
same_report peers
wait_for 40 reaches other shared_bytes "$size"
is other coordinator_bytes 0 || { cat "$work/traffic"; fail "blobs went over the socket"; }
[ -z "$(find "$state/blobs" -type f 2>/dev/null)" ] || fail "blobs lie in the state folder"
[ -z "$(find "$work/store/blobs/incoming" -type f)" ] || fail "something is left in incoming"
expect_status 0 triad backup "$work/copy"
[ "$(find "$work/copy/blobs" -type f | wc -l)" = "$(find "$work/store/blobs/"?? -type f | wc -l)" ] ||
    fail "the copy does not hold the shared store's blobs"
triad coordinator stop 2>/dev/null || true
wait_for 60 has_ended "$coordinator"
start_coordinator "$state" # it remembers
same_report peers
expect_status 0 triad gc
said 'needed'
triad coordinator stop 2>/dev/null || true
wait_for 60 has_ended "$coordinator"
triad keys init --state "$work/third" 2>/dev/null
expect_status 1 "$TRIAD_BIN/triad-coordinator" --state "$work/third" --shared-store "$work/store"
said 'belongs to the coordinator of'
mv "$work/store" "$work/elsewhere"
expect_status 1 "$TRIAD_BIN/triad-coordinator" --state "$state"
said 'is its file system mounted'
start_coordinator "$state" --shared-store "$work/elsewhere" # moved: it is the same one
same_report peers
