#!/usr/bin/env bash
# One training on four ranks in a Slurm allocation that Triad asked for, started by srun: the bits of one process, also
# when a rank dies of kill -9, when its keeper does, and when the allocation is pre-empted. Nothing is left behind.
# usage: ranks_slurm.sh 1|2 [openmpi|mpich]      so many nodes; two are hosts with names, addresses, /tmp and memory of their
#                                                own, and the second sees nothing of the coordinator's folder
nodes=${1:?usage: ranks_slurm.sh 1|2 [openmpi|mpich]}
mpi=${2:-openmpi}
. "$(dirname "$0")/hosts_lib.sh"
[ "$nodes" = 1 ] || own_world "$@"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/slurm_lib.sh"
. "$(dirname "$0")/ranks_lib.sh"
[ "$nodes" = 1 ] || make_world
use_mpi "$mpi"
declare -A protocols=([openmpi]=pmix [mpich]=pmi2)

one_and_so_many_ranks 4 <<'YAML'
  qwen:
    architecture: {kind: qwen3, layers: 2, width: 32, heads: 2, kv_heads: 1, mlp: 64, context: 1024}
    tokenizer: {train: bpe, vocabulary: 1024}
    train: {batch_tokens: 2048, sequence_tokens: 512, checkpoint_steps: 30, learning_rate: 2e-3, shards: 8}
    variants:
      PT: {pretrain: {mix: pretrain-small, tokens: 400k}}
YAML
job=qwen/PT
jobs=(qwen/PT)
calm_outputs

state=$work/state
export TRIAD_STATE=$state
mkdir "$state"
if [ "$nodes" = 1 ]; then
    start_slurm 4 "MpiDefault=${protocols[$mpi]}"
    start_coordinator "$state" --heartbeat-ms 500 --lease-ms 6000
else
    unseen[n2]=$state
    start_slurm_on_hosts 2 "MpiDefault=${protocols[$mpi]}"
    start_coordinator_on head "$state" --heartbeat-ms 500 --lease-ms 6000
fi
four_at_work() { ranks_are 4 && pairs_are_apart; }
# With two nodes there are two of them on each; who is where is told by its network.
on_second() { ranks_alive | while read -r pid; do [ "$(host_of "$pid")" != n2 ] || echo "$pid"; done; }
pairs_are_apart() { [ "$nodes" = 1 ] || [ "$(on_second | wc -l)" = 2 ]; }
# Of those on the second node, where the worker is not, one.
a_victim() { { [ "$nodes" = 1 ] && ranks_alive || on_second; } | tail -n 1; }

note "a queue of one task is of no use to it, one of four is"
triad submit "$work/shared.yaml" 2>/dev/null
expect_status 0 triad alloc add slurm --name narrow --cores 1 --time 10m --idle 5s
says_no() { triad alloc show narrow 2>/dev/null | grep -q 'no runnable job fits'; }
wait_for 30 says_no
expect_status 0 triad alloc add slurm --name wide --cores 1 --ranks 4 --time 10m --max-workers 1 --backlog 1 --idle 20s
wait_for 90 four_at_work

note "kill -9 of a rank"
wait_for 60 past_step 0 4
[ "$nodes" = 1 ] || ! nsenter --mount --target "$(a_victim)" test -e "$state/worker.access" ||
    fail "the second node sees the coordinator's folder"
kill -9 "$(a_victim)"
wait_for 60 epoch_above 1
names_signal 9

note "kill -9 of the process that keeps them: all ranks go"
wait_for 60 four_at_work
pgrep -f 'srun --ntasks=4' >"$work/sruns"
keeper=$(ps -o ppid= -p "$(head -n 1 "$work/sruns")" | tr -d ' ')
ranks_alive >"$work/before"
kill -9 "$keeper"
others() { ! ranks_alive | grep -qxFf "$work/before"; }
wait_for 30 others

note "the allocation is cancelled from outside, as by pre-emption"
before=$(epoch)
wait_for 60 four_at_work
scancel "$(squeue -h -t running -o %i | head -n 1)"
wait_for 60 no_ranks
wait_for 90 epoch_above "$before"
expect_status 0 triad alloc remove narrow
# The evaluation is one process's work: the four-task worker does it, since it is there.
expect_status 0 triad watch ranks --timeout 240s
wait_for 30 no_ranks
# A worker that stays idle for a while yet leaves with its allocation.
no_worker() { ! pgrep -f "triad-worker .*--dir $work/" >/dev/null; }
expect_status 0 triad alloc remove wide
wait_for 60 no_worker
same_report ranks
end_with_calm_outputs "$state"
