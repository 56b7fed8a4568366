#!/usr/bin/env bash
# The same manifest from one worker and from three gives the same bytes; a second run starts no job; an
# edited manifest runs only what changed.
. "$(dirname "$0")/lib.sh"
manifest=$TRIAD_SOURCE/tests/integration/tiny.yaml

note "one worker"
triad run "$manifest" --state "$work/one" --workers 1 --report-dir "$work/report1" >"$work/text1" 2>"$work/run1.log"
note "three workers"
triad run "$manifest" --state "$work/three" --workers 3 --report-dir "$work/report3" >"$work/text3" 2>"$work/run3.log"
same "$work/report1/report.csv" "$work/report3/report.csv"
triad records export tiny --state "$work/one" >"$work/records1.csv"
triad records export tiny --state "$work/three" >"$work/records3.csv"
cut -d, -f1-14 "$work/records1.csv" >"$work/r1"
cut -d, -f1-14 "$work/records3.csv" >"$work/r3"
same "$work/r1" "$work/r3"
[ "$(wc -l <"$work/r1")" -gt 500 ] || fail "suspiciously few records: $(wc -l <"$work/r1")"
grep -q 'ST' "$work/text1" || fail "the report does not mention ST"

note "a second run starts nothing"
triad run "$manifest" --state "$work/one" --report-dir "$work/report1b" >"$work/text1b" 2>"$work/run1b.log"
grep -q 'nothing to run' "$work/run1b.log" || { cat "$work/run1b.log"; fail "the second run does not say that there is nothing to run"; }
same "$work/report1/report.csv" "$work/report1b/report.csv"

note "an edited manifest runs only what changed"
sed 's/tasks: \[urn_icl, housevotes\]/tasks: [urn_icl, housevotes, flight]/' "$manifest" >"$work/edited.yaml"
triad run "$work/edited.yaml" --state "$work/one" --report-dir "$work/report1c" >"$work/text1c" 2>"$work/run1c.log"
triad job list --experiment tiny --state "$work/one" --output csv >"$work/jobs.csv"
[ "$(grep -c ',done,' "$work/jobs.csv")" = 12 ] || { cat "$work/jobs.csv"; fail "expected 12 done jobs"; }
grep -q '3 new' "$work/run1c.log" || { cat "$work/run1c.log"; fail "expected 3 new jobs"; }
