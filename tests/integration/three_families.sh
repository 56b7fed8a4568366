#!/usr/bin/env bash
# One family per architecture, trained from nothing and compared: every job done, every cell there, the
# summary across families, and models of the architectures that the manifest asked for.
. "$(dirname "$0")/lib.sh"
manifest=$TRIAD_SOURCE/experiments/manifests/three-families-tiny.yaml
state=$work/state
export TRIAD_STATE=$state

note "run"
expect_status 0 triad run "$manifest" --report-dir "$work/report"
grep -qiE 'failed|quarantined|missing' "$work/report/report.csv" && fail "not every cell is there"
for family in llama-tiny qwen3-tiny gemma3-tiny; do
    [ "$(grep -c "$family" "$work/report/report.csv")" -ge 12 ] || fail "too few rows of $family"
    grep -q "^.*$family" "$work/report/report.md" || fail "$family is not in the report"
done
grep -q 'housevotes, 3 families' "$work/report/report.md" || fail "no summary across families"

note "what was made: folders that can be looked at, scored with and listened to"
for family in llama qwen3 gemma3; do
    expect_status 0 triad model get "$family-tiny/ST" "$work/$family"
    expect_status 0 triad model inspect "$work/$family"
    said "model +$family"
    expect_status 0 triad score "$work/$family" --text "A bird is an animal."
    said 'nats over'
    expect_status 0 triad generate "$work/$family" --prompt "A bird" --tokens 5 --seed 1
done
expect_status 9 triad model get llama-tiny/PT "$work/llama"
expect_status 4 triad model get llama-tiny/PT/urn_icl "$work/none"
[ ! -e "$work/none" ] || fail "an evaluation left a folder"

note "nothing is done twice"
expect_status 0 triad run "$manifest" --report-dir "$work/again"
same "$work/again/report.csv" "$work/report/report.csv"
