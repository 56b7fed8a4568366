#!/usr/bin/env bash
# Two nodes of a real Slurm, and a queue for each kind of work with --data-listen: the worker on one node trains, that on
# the other evaluates and reads the checkpoint from the first, not from the coordinator. Neither node sees the store.
. "$(dirname "$0")/hosts_lib.sh"
own_world "$@"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/slurm_lib.sh"
. "$(dirname "$0")/peers_lib.sh"
make_world
calm "$work/calm.yaml"

state=$work/state
export TRIAD_STATE=$state
mkdir -p "$state/blobs"
unseen[n1]=$state/blobs
unseen[n2]=$state/blobs
start_slurm_on_hosts 1
start_coordinator_on head "$state" --heartbeat-ms 500
for queue in train fetch; do
    expect_status 0 triad alloc add slurm --name $queue --cores 1 --time 10m --max-workers 1 --backlog 1 --idle 60s \
        --data-listen 0.0.0.0 --label $queue
done
sed 's/train: {threads: 1}/train: {threads: 1, labels: train}/' "$work/peers.yaml" >"$work/study.yaml"
triad submit "$work/study.yaml" 2>/dev/null
expect_status 0 triad watch peers --timeout 280s
size=$(stat -c %s "$(find "$state/blobs" -type f -size +50M | head -n 1)")
triad worker list --output csv >"$work/workers"
trains=$(grep -o '^triad-[^,]*-train-[0-9]*' "$work/workers" | head -n 1)
fetches=$(grep -o '^triad-[^,]*-fetch-[0-9]*' "$work/workers" | head -n 1)
node_of() { sed -n 's/.*serving endpoint=tcp:\/\/\([^:]*\):.*/\1/p' "$state/alloc/$1.log"; }
echo "$trains on $(node_of "$trains"), $fetches on $(node_of "$fetches")"
[ "$({ node_of "$trains" && node_of "$fetches"; } | sort | tr '\n' ' ')" = 'n1 n2 ' ] || fail "they are not on two nodes"
wait_for 40 reaches "$fetches" peer_bytes "$size"
[ "$(traffic "$fetches" coordinator_bytes)" -lt 2000000 ] || { cat "$work/traffic"; fail "it asked the coordinator"; }
is "$fetches" shared_bytes 0 || fail "it found the store, which it must not see"
wait_for 40 reaches "$trains" served_bytes "$size"
same_report peers
for queue in train fetch; do expect_status 0 triad alloc remove $queue; done
none_left() { [ -z "$(squeue -h)" ]; }
wait_for 60 none_left
triad coordinator stop 2>/dev/null || true
wait_for 60 has_ended "$coordinator"
