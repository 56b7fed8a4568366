#!/usr/bin/env bash
# Steerability, alignment and coverage end to end with toy models: every figure is there, shares add up to the
# same bits as one job, figures follow from the exported records, and nothing is done twice.
. "$(dirname "$0")/lib.sh"
manifest=$TRIAD_SOURCE/tests/integration/kinds.yaml
export TRIAD_STATE=$work/state TRIAD_EXPERIMENTS=$TRIAD_SOURCE/experiments

note "run"
expect_status 0 triad run "$manifest" --report-dir "$work/report"
csv=$work/report/report.csv
grep -q 'is missing' "$csv" && fail "not every cell is there"
for row in 'mean,toy,alignment,urn,ST,,js,all' 'mean,toy,alignment,states,IT,,coverage,all' \
    'calibration,toy,steerability,housevotes,PT,,ece_token_equal_mass,in_context' \
    'mean,toy,steerability,housevotes,ST,,accuracy,position_0' 'length,toy,steerability,housevotes,PT,,loss' \
    'generation,toy,coverage,rng_1_10,PT,,valid' 'generation_mean,toy,coverage,,IT,,diversity' \
    'generation_difference,toy,coverage,,ST,PT,yield' 'generation,toy,longform,short_story,IT,,self_bleu'; do
    grep -q "^$row" "$csv" || fail "no line begins with $row"
done
[ "$(grep -c '^generation,toy,coverage,weekdays_full,IT,,valid' "$csv")" = 6 ] || fail "IT has three prompts at two temperatures"
grep -q 'front' "$work/report/report.md" || fail "nobody is on the front"
for file in report.md report.tex report.json records.csv; do [ -s "$work/report/$file" ] || fail "no $file"; done

note "figures follow from records"
expect_status 0 triad records export kinds --task urn --format csv
# The mean of the column js of PT's records.
recomputed=$(awk -F, 'NR == 1 {for (i = 1; i <= NF; i++) column[$i] = i; next}
    $column["variant"] == "PT" {sum += $column["js"]; n++} END {printf "%.12f", sum / n}' "$work/out")
printed=$(awk -F, '/^mean,toy,alignment,urn,PT,,js,all/ {printf "%.12f", $9}' "$csv")
[ "$recomputed" = "$printed" ] || fail "mean JS is $recomputed by its records, $printed in the report"
expect_status 0 triad records export kinds --task rng_1_10 --format csv
[ "$(grep -c ',PT,' "$work/out")" = 36 ] || fail "three prompts of twelve draws should give 36 records"

note "shares give the same bits as one job"
sed -e 's/, shard: 10/, shard: 1000/' -e 's/^experiment: kinds/experiment: whole/' "$manifest" >"$work/whole.yaml"
expect_status 0 triad plan "$manifest"
grep -q 'housevotes/42/3of3' "$work/out" || fail "24 sequences in shares of 10 should be three jobs"
expect_status 0 triad run "$work/whole.yaml" --report-dir "$work/whole"
same "$work/whole/report.csv" "$csv"

note "nothing is done twice"
expect_status 0 triad run "$manifest" --report-dir "$work/again"
same "$work/again/report.csv" "$csv"
