#!/usr/bin/env bash
# suite-smoke.yaml on the tasks that need no data: a sample of what suite_smoke.sh does with all of them. And a
# user's own table as a task of nine lines, as docs/adding-a-task.md shows it.
. "$(dirname "$0")/lib.sh"

[ -f /usr/share/wordnet/data.noun ] || skip "wordnet-base is not installed"
mkdir -p "$work/data/lunch" "$work/experiments"

note "ten tasks, end to end"
sed -e 's/tasks: "set:smoke"/tasks: [cards, coinflip, flight, hypergeometric, zipfian]/' \
    -e 's/suite: extra, tasks: \[.*\], k/suite: extra, tasks: [synthetic_raters, synthetic_rules], k/' \
    "$TRIAD_SOURCE/experiments/manifests/suite-smoke.yaml" >"$work/sample.yaml"
TRIAD_EXPERIMENTS=$TRIAD_SOURCE/experiments triad run "$work/sample.yaml" --state "$work/state" >"$work/text" 2>"$work/run.log"
triad records export suite-smoke --state "$work/state" 2>/dev/null >"$work/records.csv"
for task in cards coinflip flight hypergeometric zipfian synthetic_raters synthetic_rules housevotes; do
    grep -q "$task" "$work/records.csv" || fail "no record of $task"
done

note "the table of docs/adding-a-task.md"
cp -r "$TRIAD_SOURCE/experiments/suite" "$work/experiments/suite"
cp -r "$TRIAD_SOURCE/experiments/data" "$work/experiments/data"
sed -n '/^```yaml$/,/^```$/p' "$TRIAD_SOURCE/docs/adding-a-task.md" | sed '1d; /^```$/,$d' >"$work/experiments/suite/tasks/lunch.yaml"
[ "$(wc -l <"$work/experiments/suite/tasks/lunch.yaml")" -le 11 ] || fail "the documented task is longer than promised"
sed -n '/^colleague,dish,verdict$/,/^```$/p' "$TRIAD_SOURCE/docs/adding-a-task.md" | sed '/^```$/d' >"$work/data/lunch/lunch.csv"
export TRIAD_EXPERIMENTS=$work/experiments TRIAD_DATA=$work/data
expect_status 0 triad suite check lunch
expect_status 0 triad suite sample lunch --format spectrum
said 'lentil soup'
said '⟦good<.eot_id.>⟧'
printf '8,bean stew\n' >>"$work/data/lunch/lunch.csv"
expect_status 3 triad suite show lunch
said 'lunch.csv:5: 2 fields, the header has 3'
