#!/usr/bin/env bash
# The same manifest from one worker and from three gives the same bytes; a second run starts no job; an
# edited manifest runs only what changed.
. "$(dirname "$0")/lib.sh"

# run STATE OPTION…: report in $work/STATE-report, stderr in $work/run.log.
run() {
    local state=$1
    shift
    triad run "$@" --state "$work/$state" --report-dir "$work/$state-report" >"$work/text" 2>"$work/run.log"
}
logged() { grep -qE -- "$1" "$work/run.log" || { cat "$work/run.log"; fail "the run does not say '$1'"; }; }
records() { triad records export tiny --state "$work/$1" 2>/dev/null >"$work/$1-records.csv"; }

note "one worker"
run one "$manifest" --threads 1
grep -q 'ST against PT' "$work/text" || fail "the report does not compare ST with PT"
note "three workers"
run three "$manifest" --workers 3 --threads 3
triad job list --state "$work/three" --output csv 2>/dev/null >"$work/jobs.csv"
[ "$(grep -oE ',local-[0-9],' "$work/jobs.csv" | sort -u | wc -l)" -ge 2 ] || fail "only one of three workers did anything"
same "$work/one-report/report.csv" "$work/three-report/report.csv"
records one
records three
same "$work/one-records.csv" "$work/three-records.csv"
[ "$(wc -l <"$work/one-records.csv")" -gt 3000 ] || fail "suspiciously few records: $(wc -l <"$work/one-records.csv")"

note "a second run starts nothing"
triad job list --state "$work/one" --output csv 2>/dev/null >"$work/before.csv"
cp "$work/one-report/report.csv" "$work/first.csv"
run one "$manifest"
logged '0 new, 9 done already'
logged 'nothing to run'
same "$work/one-report/report.csv" "$work/first.csv"
triad job list --state "$work/one" --output csv 2>/dev/null >"$work/after.csv"
same "$work/before.csv" "$work/after.csv"

note "an edited manifest runs only what changed"
sed 's/tasks: \[urn_icl, housevotes\]/tasks: [urn_icl, housevotes, flight_small]/' "$manifest" >"$work/edited.yaml"
cmp -s "$manifest" "$work/edited.yaml" && fail "this test did not edit the manifest"
run one "$work/edited.yaml"
logged '3 new, 9 done already'
triad job list --experiment tiny --state "$work/one" --output csv 2>/dev/null >"$work/after.csv"
[ "$(grep -c ',done,' "$work/after.csv")" = 12 ] || { cat "$work/after.csv"; fail "expected 12 done jobs"; }
grep -Fxf "$work/before.csv" "$work/after.csv" >"$work/unchanged.csv"
same "$work/before.csv" "$work/unchanged.csv"

note "the plan says why a job is new"
sed 's/steps: 10, embeddings/steps: 12, embeddings/' "$manifest" >"$work/longer.yaml"
cmp -s "$manifest" "$work/longer.yaml" && fail "this test did not edit the manifest"
export TRIAD_STATE=$work/one
start_coordinator "$TRIAD_STATE"
expect_status 0 triad plan "$work/longer.yaml"
said '^  toy/ST/42: .*train\.steps 12, was 10'
said '^  toy/ST/urn_icl/42: toy/ST/42 is new'
! grep -q '^  toy/PT/42: .*, was ' "$work/out" || { cat "$work/out"; fail "a reused job is said to be new"; }
expect_status 0 triad plan "$manifest"
! grep -q 'Not what was done before' "$work/out" || { cat "$work/out"; fail "nothing is new in it"; }
