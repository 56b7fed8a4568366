#!/usr/bin/env bash
# kill -9 of a training worker after a checkpoint above step 0 was acknowledged: the next attempt starts above 0
# on another worker, and weights and optimizer state end as if nothing had happened.
. "$(dirname "$0")/lib.sh"

# A longer training whose last checkpoint is not its end: the optimizer's state of step 320 can be compared. What it
# leaves is stored in another type than its checkpoints.
sed -e 's/tokens: 60k/tokens: 297k, saved_as: bf16/' -e 's/batch_tokens: 2048/batch_tokens: 1024/' \
    -e 's/checkpoint_steps: 5/checkpoint_steps: 80/' "$manifest" >"$work/long.yaml"
calm "$work/long.yaml"

# Artifacts of the models, and the last checkpoint of PT: step, then the digest of weights, optimizer and all.
outputs() {
    triad job list --experiment tiny --state "$1" --output csv 2>/dev/null | cut -d, -f2,18,19 | sort
    triad job show toy/PT --state "$1" --output json 2>/dev/null >"$work/show"
    field "$work/show" resume_step
    field "$work/show" resume
    # Its loss and gradient at every step, each once; times and speeds are not compared.
    triad curves toy/PT --state "$1" --output csv 2>/dev/null | cut -d, -f2,5,6,7
}
outputs "$work/calm" >"$work/calm.outputs"

note "disturbed"
state=$work/state
export TRIAD_STATE=$state
start_coordinator "$state" --heartbeat-ms 500 --lease-ms 6000
triad submit "$work/long.yaml" 2>/dev/null
start_worker "$state" victim --threads 1
# Stopped, it can say no more: what is true now is true when it dies.
stopped_above_zero() {
    show toy/PT && [ "$(field "$work/show" resume_step)" -gt 0 ] && kill -STOP "$worker" && show toy/PT
}
wait_for 120 stopped_above_zero
[ "$(field "$work/show" state)" = running ] || fail "the training ended before it could be disturbed"
acknowledged=$(field "$work/show" resume_step)
kill_hard "$worker"
start_worker "$state" heir --threads 1
expect_status 0 triad watch tiny --timeout 200s
show toy/PT
[ "$(field "$work/show" start_step | sort -n | tail -n 1)" = "$acknowledged" ] ||
    { cat "$work/show"; fail "the second attempt did not start at step $acknowledged"; }
[ "$(field "$work/show" worker | sort -u | tr '\n' ' ')" = "heir victim " ] ||
    { cat "$work/show"; fail "the second attempt did not run on the other worker"; }
same_report tiny
kill "$worker"
triad coordinator stop 2>/dev/null || true # that it ends is what counts
wait_for 60 has_ended "$coordinator"
outputs "$state" >"$work/disturbed.outputs"
same "$work/calm.outputs" "$work/disturbed.outputs"
grep -qx 320 "$work/calm.outputs" || { cat "$work/calm.outputs"; fail "the last checkpoint is not that of step 320"; }
