#!/usr/bin/env bash
# suite-smoke.yaml whole: every task that needs no data and every task whose files are in ../shared/data/suite.
. "$(dirname "$0")/lib.sh"

data=$TRIAD_SOURCE/../shared/data/suite
[ -d "$data" ] || skip "there are no files in ../shared/data/suite"
[ -f /usr/share/wordnet/data.noun ] || skip "wordnet-base is not installed"
limit_s=1500

triad suite check --data "$data" >"$work/findings" || { cat "$work/findings"; fail "triad suite check is not clean"; }
triad run "$TRIAD_SOURCE/experiments/manifests/suite-smoke.yaml" --data "$data" --state "$work/state" --workers 2 \
    >"$work/text" 2>"$work/run.log"
triad records export suite-smoke --state "$work/state" 2>/dev/null >"$work/records.csv"
sed -n 's/^  - //p' "$TRIAD_SOURCE/experiments/suite/sets/smoke.yaml" >"$work/tasks"
[ "$(wc -l <"$work/tasks")" -ge 40 ] || fail "the set of tasks is suspiciously small"
while read -r task; do
    grep -q ",$task," "$work/records.csv" || fail "no record of $task"
done <"$work/tasks"
# Nothing that could run here is missing from the set.
triad suite list --data "$data" --output csv 2>/dev/null | grep ',ready,' | grep -E ',"?[^"]*(spectrum|extra)' | cut -d, -f1 |
    grep -vxFf "$work/tasks" >"$work/missing" || true
[ ! -s "$work/missing" ] || { cat "$work/missing"; fail "tasks that are ready and not in the set"; }
