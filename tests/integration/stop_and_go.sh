#!/usr/bin/env bash
# What a person does to a campaign while it runs: pause, labels, a worker whose time ends, a drain with a deadline,
# a copy of the state, a sweep of blobs. Nothing is lost, every wait has its word, and the report is that of a quiet run.
. "$(dirname "$0")/lib.sh"

sed -e 's/tokens: 60k/tokens: 297k/' -e 's/batch_tokens: 2048/batch_tokens: 1024/' -e '/^resources/d' "$manifest" >"$work/plain.yaml"
cp "$work/plain.yaml" "$work/asks.yaml"
cat >>"$work/asks.yaml" <<'EOF'
resources:
  train: {threads: 1, time_limit_minutes: 2}
  evaluate: {threads: 1, labels: [scores]}
retry: {attempts: 4, signal: 2, memory_growth: 0.25}
EOF
echo 'resources: {train: {threads: 1}, evaluate: {threads: 1}}' >>"$work/plain.yaml"
calm "$work/plain.yaml"

note "disturbed"
export TRIAD_STATE=$work/state
start_coordinator "$TRIAD_STATE" --heartbeat-ms 500 --lease-ms 6000
triad submit "$work/asks.yaml" 2>/dev/null
explains() { # JOB WORD
    triad job explain "$1" --output json >"$work/explained" && [ "$(field "$work/explained" word | head -n 1)" = "$2" ]
}
explains toy/PT NoWorkers || fail "no worker is there and nobody says so"
expect_status 0 triad experiment pause tiny
start_worker "$TRIAD_STATE" short --threads 1 --time-limit 100 # a training may take 120 s: it does not fit
wait_for 60 explains toy/PT Paused
expect_status 0 triad submit "$work/asks.yaml" # ends no pause, and says so
said "tiny stays paused"
expect_status 7 triad watch tiny --timeout 1s # who waits for it is told why nothing happens
said "tiny is paused"
expect_status 0 triad experiment resume tiny
wait_for 60 explains toy/PT TimeLimit
start_worker "$TRIAD_STATE" trains --threads 1
has_checkpoint() { show toy/PT && [ "$(field "$work/show" resume_step)" -gt 0 ]; }
wait_for 120 has_checkpoint
expect_status 0 triad worker drain trains --reason 'a new disk' --deadline 1s
wait_for 60 has_ended "$worker" # it stopped with a checkpoint, and gave the job back
show toy/PT
grep -q '"a new disk"' "$work/show" || { cat "$work/show"; fail "the drain's reason is not with the attempt"; }
[ "$(field "$work/show" outcome)" = preempted ] || { cat "$work/show"; fail "the attempt did not end as pre-empted"; }

note "a copy, and work goes on in it"
expect_status 0 triad backup "$work/copy"
expect_status 9 triad backup "$work/copy"
start_worker "$TRIAD_STATE" resumes --threads 1 --label scores --label big
expect_status 0 triad watch tiny --timeout 200s
show toy/PT
[ "$(field "$work/show" start_step | sort -n | tail -n 1)" -gt 0 ] || { cat "$work/show"; fail "the training began anew"; }
same_report tiny
kill "$worker"
(
    export TRIAD_STATE=$work/copy
    start_coordinator "$TRIAD_STATE"
    start_worker "$TRIAD_STATE" elsewhere --threads 1 --label scores
    expect_status 0 triad watch tiny --timeout 200s
    same_report tiny
    kill "$worker" "$coordinator"
    wait_for 60 has_ended "$worker"
    wait_for 60 has_ended "$coordinator"
) || exit 1

note "sweep"
find "$TRIAD_STATE/blobs" -type f -exec touch -d '3 days ago' {} +
before=$(find "$TRIAD_STATE/blobs" -type f | wc -l)
expect_status 3 triad gc --age 1s # what is young may be on its way into a result
expect_status 0 triad gc --output csv
garbage=$(sed -n 's/^garbage,\([0-9]*\),.*/\1/p' "$work/out")
[ "$garbage" -gt 0 ] || { cat "$work/out"; fail "superseded checkpoints are not found"; }
[ "$(find "$TRIAD_STATE/blobs" -type f | wc -l)" = "$before" ] || fail "a dry run removed something"
expect_status 0 triad gc --apply
[ "$(find "$TRIAD_STATE/blobs" -type f | wc -l)" = $((before - garbage)) ] || fail "not exactly the garbage was removed"
same_report tiny
expect_status 0 triad submit "$work/asks.yaml" --output csv # everything is still there to be reused
grep -qx 'tiny,0,9,0,0' "$work/out" || { cat "$work/out"; fail "the finished jobs are not reused"; }
expect_status 0 triad experiment priority tiny --priority 3
expect_status 4 triad experiment pause nobody
expect_status 9 triad job release toy/PT
said 'the job is done, not quarantined'
triad coordinator stop 2>/dev/null || true
wait_for 60 has_ended "$coordinator"
