#!/usr/bin/env bash
# The published grids can be planned without their checkpoints and data: what is missing is said with the way to
# get it, and the counts are those of the publication, every difference explained.
. "$(dirname "$0")/lib.sh"
export TRIAD_STATE=$work/state HF_HOME=$work/no-hub

# grid NAME COUNT: what `triad plan` says of it.
grid() {
    local file=$TRIAD_SOURCE/experiments/manifests/$1.yaml
    note "$1"
    expect_status 0 triad plan --missing-ok "$file" --data "$work/no-data"
    grep -q "^In the published grid's unit (.*): $2\.$" "$work/out" || fail "$1 is not $2"
    grep -q 'nothing else differs' "$work/out" || fail "$1: a difference is not explained"
    grep -q 'hf download' "$work/out" || fail "$1: nothing says how to get the checkpoints"
    if triad plan "$file" --data "$work/no-data" >/dev/null 2>"$work/err"; then fail "$1 can be planned without its checkpoints"; fi
}
grid paper-icl-pt-it "498 of 510"
grep -q 'habermas_opinions, habermas_categorical (2 x 6 models = 12)' "$work/out" || fail "the twelve are not named"
grep -q 'triad suite fetch' "$work/out" || fail "nothing says how to get data"
grid paper-icl-spectrum "45 of 48"
grid paper-alignment "63 of 63"
grid paper-coverage "27 of 27"
grid paper-train "3 of 3"

note "as JSON"
expect_status 0 triad plan --missing-ok "$TRIAD_SOURCE/experiments/manifests/paper-alignment.yaml" --output json
grep -q '"here":63' "$work/out" || fail "the JSON does not hold the count"
