#!/usr/bin/env bash
# One training on several ranks, started by mpiexec: the weights, optimizer and curves of one process, to the bit; also
# when a rank dies of kill -9, when the worker does, and when the job is cancelled and tried again. No rank outlives its attempt.
# usage: ranks.sh [openmpi|mpich]      with that MPI; otherwise with the one the build found
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/ranks_lib.sh"
[ "$(nproc)" -ge 2 ] || skip "two ranks need two cores"
[ $# = 0 ] || use_mpi "$1"
command -v mpiexec >/dev/null || skip "there is no mpiexec here (Debian: openmpi-bin)"
"$TRIAD_BIN/triad-worker" ranks >"$work/ranks" || skip "$(cat "$work/ranks")"

# Two families, and an adapter with dropout.
one_and_so_many_ranks 2 <<'YAML'
  llama:
    architecture: {kind: llama, layers: 2, width: 32, heads: 2, kv_heads: 1, mlp: 64, context: 1024}
    tokenizer: {train: bpe, vocabulary: 1024}
    train: {batch_tokens: 2048, sequence_tokens: 512, checkpoint_steps: 20, learning_rate: 2e-3, shards: 4}
    variants:
      PT: {pretrain: {mix: pretrain-small, tokens: 150k}}
      ST: {from: PT, spectrum: {tasks: train, steps: 6, embeddings_from: none, lora: {rank: 2, dropout: 0.1}}}
  gemma:
    architecture: {kind: gemma3, layers: 2, width: 32, heads: 2, kv_heads: 1, mlp: 64, context: 1024, window: 64}
    tokenizer: {train: bpe, vocabulary: 1024}
    train: {batch_tokens: 2048, sequence_tokens: 512, checkpoint_steps: 5, learning_rate: 2e-3, shards: 4}
    variants:
      PT: {pretrain: {mix: pretrain-small, tokens: 30k, accumulate: 2}}
YAML

job=llama/PT
jobs=(llama/PT llama/ST gemma/PT)
calm_outputs

note "ranks must divide the shards"
sed 's/ranks: 1}/ranks: 8}/' "$work/one.yaml" >"$work/eight.yaml"
expect_status 3 triad plan "$work/eight.yaml"
said 'eight.yaml:[0-9]+:[0-9]+: 8 ranks share'

note "a worker of one thread starts none, and the job says so in a word"
state=$work/state
export TRIAD_STATE=$state
start_coordinator "$state" --heartbeat-ms 500 --lease-ms 6000
triad submit "$work/shared.yaml" 2>/dev/null
start_worker "$state" narrow --threads 1
waits_for_ranks() { triad job explain llama/PT 2>/dev/null | grep -q Ranks; }
wait_for 60 waits_for_ranks
kill "$worker"
wait_for 60 has_ended "$worker"

note "kill -9 of a rank after a checkpoint"
start_worker "$state" wide --threads 2
wait_for 120 past_step 0 2
kill -9 "$(ranks_alive | tail -n 1)"
wait_for 60 epoch_above 1
names_signal 9

note "kill -9 of the worker: its ranks go with it"
wait_for 60 ranks_are 2
kill_hard "$worker"
wait_for 20 no_ranks
start_worker "$state" wide --threads 2
wait_for 60 ranks_are 2

note "cancelled and tried again"
triad job cancel llama/PT 2>/dev/null
wait_for 30 no_ranks
triad submit "$work/shared.yaml" 2>/dev/null
expect_status 0 triad watch ranks --timeout 300s
no_ranks || fail "ranks are left"
same_report ranks
kill "$worker"
end_with_calm_outputs "$state"
