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

note "what was made"
# Every model's config.json is a blob of the state; the tensors tell the architecture, too.
kinds=$(find "$state/blobs" -type f -size -8k -exec grep -lE '"model_type": ' {} + | xargs grep -ohE '"model_type": "[a-z0-9_]+"' | sort -u)
[ "$kinds" = "$(printf '"model_type": "%s"\n' gemma3_text llama qwen3)" ] || fail "models of other types: $kinds"

note "nothing is done twice"
expect_status 0 triad run "$manifest" --report-dir "$work/again"
same "$work/again/report.csv" "$work/report/report.csv"
