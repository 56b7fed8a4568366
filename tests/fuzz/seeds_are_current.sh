#!/usr/bin/env bash
# The seeds in tests/fuzz/corpus are what their generator writes today: a seed of a former layout is refused at its first bytes,
# and the fuzzer begins with nothing.
#
# usage: seeds_are_current.sh CORPUS GENERATOR
set -euo pipefail
corpus=$1 generator=$2
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
"$generator" "$made"
status=0
while IFS= read -r -d '' file; do
    name=${file#"$made"/}
    cmp -s "$file" "$corpus/$name" || { echo "tests/fuzz/corpus/$name is not what $(basename "$generator") writes"; status=1; }
done < <(find "$made" -type f -print0)
[ "$status" = 0 ] || echo "write them anew: $(basename "$generator") tests/fuzz/corpus"
exit "$status"
