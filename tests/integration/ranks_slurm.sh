#!/usr/bin/env bash
# One training on four ranks in a Slurm allocation that Triad asked for, started by srun: the bits of one process, also
# when a rank dies of kill -9, when its keeper does, and when the allocation is pre-empted. Nothing is left behind.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/slurm_lib.sh"
[ -f "$TRIAD_BIN/../lib/triad-mpi.so" ] || skip "this build has no MPI (Debian: libopenmpi-dev)"

cat >"$work/one.yaml" <<'YAML'
experiment: ranks
families:
  qwen:
    architecture: {kind: qwen3, layers: 2, width: 32, heads: 2, kv_heads: 1, mlp: 64, context: 1024}
    tokenizer: {train: bpe, vocabulary: 1024}
    train: {batch_tokens: 2048, sequence_tokens: 512, checkpoint_steps: 30, learning_rate: 2e-3, shards: 8}
    variants:
      PT: {pretrain: {mix: pretrain-small, tokens: 400k}}
evaluate:
  - {suite: steerability, tasks: [urn_icl], max_sequences: 8}
resources: {train: {threads: 1, ranks: 1}}
retry: {backoff_seconds: 0.1}
YAML
sed 's/ranks: 1}/ranks: 4}/' "$work/one.yaml" >"$work/four.yaml"
outputs() {
    triad job list --experiment ranks --state "$1" --output csv 2>/dev/null | cut -d, -f2,18,19 | sort
    triad job show qwen/PT --state "$1" --output json 2>/dev/null >"$work/show"
    field "$work/show" resume_step
    field "$work/show" resume
    triad curves qwen/PT --state "$1" --output csv 2>/dev/null | cut -d, -f2,5,6,7
}
calm "$work/one.yaml"
outputs "$work/calm" >"$work/calm.outputs"

start_slurm 4 MpiDefault=pmix
state=$work/state
export TRIAD_STATE=$state
start_coordinator "$state" --heartbeat-ms 500 --lease-ms 6000
ranks_alive() { pgrep -f "^[^ ]*/triad-worker rank --folder $work/" || true; }
no_ranks() { [ -z "$(ranks_alive)" ]; }
four_ranks() { [ "$(ranks_alive | wc -l)" = 4 ]; }
step_above() { show qwen/PT && [ "$(field "$work/show" resume_step)" -gt "$1" ] && four_ranks; }
epoch_above() { show qwen/PT && [ "$(field "$work/show" epoch | sort -n | tail -n 1)" -gt "$1" ]; }

note "a queue of one task is of no use to it, one of four is"
triad submit "$work/four.yaml" 2>/dev/null
expect_status 0 triad alloc add slurm --name narrow --cores 1 --time 10m --idle 5s
says_no() { triad alloc show narrow 2>/dev/null | grep -q 'no runnable job fits'; }
wait_for 30 says_no
expect_status 0 triad alloc add slurm --name wide --cores 1 --ranks 4 --time 10m --max-workers 1 --backlog 1 --idle 20s
wait_for 90 four_ranks

note "kill -9 of a rank"
wait_for 60 step_above 0
kill -9 "$(ranks_alive | tail -n 1)"
wait_for 60 epoch_above 1
grep -q 'signal 9' "$work/show" || { cat "$work/show"; fail "nobody says what a rank died of"; }

note "kill -9 of the process that keeps them: all ranks go"
wait_for 60 four_ranks
pgrep -f 'srun --ntasks=4' >"$work/sruns"
keeper=$(ps -o ppid= -p "$(head -n 1 "$work/sruns")" | tr -d ' ')
ranks_alive >"$work/before"
kill -9 "$keeper"
others() { ! ranks_alive | grep -qxFf "$work/before"; }
wait_for 30 others

note "the allocation is cancelled from outside, as by pre-emption"
epoch=$(show qwen/PT && field "$work/show" epoch | sort -n | tail -n 1)
wait_for 60 four_ranks
scancel "$(squeue -h -t running -o %i | head -n 1)"
wait_for 60 no_ranks
wait_for 90 epoch_above "$epoch"
expect_status 0 triad alloc remove narrow
# The evaluation is one process's work: the four-task worker does it, since it is there.
expect_status 0 triad watch ranks --timeout 240s
wait_for 30 no_ranks
# A worker that stays idle for a while yet leaves with its allocation.
no_worker() { ! pgrep -f "triad-worker .*--dir $work/" >/dev/null; }
expect_status 0 triad alloc remove wide
wait_for 60 no_worker
same_report ranks
triad coordinator stop 2>/dev/null || true # that it ends is what counts
wait_for 60 has_ended "$coordinator"
outputs "$state" >"$work/shared.outputs"
same "$work/calm.outputs" "$work/shared.outputs"
