#!/usr/bin/env bash
# One checkpoint and workers on hosts of their own: the fetching host loses its way to the one that sends in the middle of
# the blob, and goes on at the same byte with another worker; loses that one, too, and goes on with the coordinator. The
# table is that of the calm run.
. "$(dirname "$0")/hosts_lib.sh"
own_world "$@"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers_lib.sh"
make_world
calm "$work/calm.yaml"
# What comes late is for the last worker alone.
sed 's/labels: fetch/labels: late/' "$work/peers.yaml" >"$work/late.yaml"

plug_host head 10.79.0.1
plug_host origin 10.79.0.11
plug_host second 10.79.0.12
plug_host late 10.79.0.13
state=$work/state
export TRIAD_STATE=$state
start_coordinator_on head "$state"
# worker_on HOST [OPTION…]: of the host's name, with a folder where no other looks.
worker_on() {
    local host=$1
    shift
    daemon_on "$host" "$work/$host.log" "$TRIAD_BIN/triad-worker" --access "$state/worker.access" --dir "$work/disk-$host" \
        --name "$host" --grace 5 --threads 1 --shared-store "$work/nowhere" --data-listen 0.0.0.0 "$@"
    worker=${pids[-1]}
}
address_of() { sed -n "s/ $1\$//p" "$work/hosts"; }
# Of all packets between two hosts, in both directions, none arrives, and nobody is told.
cut_between() {
    ip -n "$1" route add blackhole "$(address_of "$2")"
    ip -n "$2" route add blackhole "$(address_of "$1")"
}
# Whom the last worker reads from: the only one of the others it is connected with.
sender() {
    on late ss -Htn state established >"$work/connections"
    for host in origin second; do grep -qF "$(address_of $host):" "$work/connections" && echo $host; done
}

note "two hosts have it"
triad submit "$work/first.yaml" 2>/dev/null
worker_on origin
wait_for 120 trained
size=$(stat -c %s "$(find "$state/blobs" -type f -size +50M | head -n 1)")
worker_on second --label fetch
expect_status 0 triad watch peers --timeout 200s
wait_for 20 reaches second peer_bytes "$size"
grep -q 'serving endpoint=tcp://second:' "$work/second.log" || fail "its address is not that of its host"

note "the way to the first sender is cut in the middle, then that to the other one"
triad submit "$work/late.yaml" 2>/dev/null
worker_on late --label late
late=$worker
stop_at 4000000 "$work/disk-late" "$late"
first=$(sender)
[ "$(echo "$first" | wc -w)" = 1 ] || { cat "$work/connections"; fail "it reads from '$first'"; }
cut_between late "$first"
kill -CONT "$late"
left() { grep "peer_left worker=$1 " "$work/late.log" | head -n 1; }
moved() { left "$1" | sed 's/.*moved=\([0-9]*\).*/\1/'; }
wait_for 60 grep -q "peer_left worker=$first " "$work/late.log"
other=$([ "$first" = origin ] && echo second || echo origin)
stop_at $(($(moved "$first") + 8000000)) "$work/disk-late" "$late"
cut_between late "$other"
kill -CONT "$late"
expect_status 0 triad watch peers --timeout 200s
[ -n "$(left "$other")" ] || fail "it had all from the other one before that could be cut off"
left "$first"
left "$other"
[ "$(moved "$first")" -ge 4000000 ] || fail "the first was not left in the middle"
[ "$(moved "$other")" -ge $(($(moved "$first") + 8000000)) ] || fail "the other one sent nothing"
wait_for 40 reaches late coordinator_bytes $((size - $(moved "$other")))
all=$(($(traffic late coordinator_bytes) + $(traffic late peer_bytes)))
[ "$all" -lt $((size + 2000000)) ] || fail "$all bytes were sent for $size"
is late shared_bytes 0 || fail "it found a folder that it must not see"
grep -q peer_banned "$work/late.log" && fail "a cut was taken for a lie"
same_report peers
triad coordinator stop 2>/dev/null || true
wait_for 60 has_ended "$coordinator"
