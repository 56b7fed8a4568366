#!/usr/bin/env bash
# A model we did not train, through the command line alone: import it, score texts as llama.cpp did (to 1e-3
# nats), and tell its golden story greedily, to the letter.
. "$(dirname "$0")/lib.sh"
golden=$TRIAD_SOURCE/tests/golden/stories260K
json=$golden/stories260K.json

note "import"
expect_status 0 triad model import "$golden/stories260K.bin" "$work/stories"
expect_status 9 triad model import "$golden/stories260K.bin" "$work/stories"
expect_status 0 triad model inspect "$work/stories" --output json
[ "$(field "$work/out" parameters | tail -n 1)" = 260032 ] || fail "not the 260,032 parameters of stories260K"

# list N KEY: the numbers of the N-th list called KEY, one a line; the golden file has a value per line.
list() { awk -v n="$1" -v key="\"$2\":" '$1 == key { i++; on = i == n; next } on && /\]/ { exit } on { gsub(/[ ,]/, ""); print }' "$json"; }
# text N: the N-th text, unescaped.
text() { printf '%b' "$(grep '"text":' "$json" | sed -n "$1p" | sed -E 's/^ *"text": "(.*)",?$/\1/; s/\\"/"/g')"; }

texts=$(grep -c '"logprob_of_next"' "$json")
[ "$texts" -ge 3 ] || fail "the golden file has only $texts texts"
for n in $(seq "$texts"); do
    note "score text $n"
    triad score "$work/stories" --text "$(text "$n")" --output json >"$work/score"
    list "$n" ids >"$work/ids"
    field "$work/score" id >"$work/own-ids"
    same "$work/own-ids" "$work/ids"
    list "$n" logprob_of_next >"$work/wanted"
    field "$work/score" logprob_nats | tail -n +2 >"$work/own"
    [ "$(wc -l <"$work/own")" -ge "$(wc -l <"$work/wanted")" ] || fail "too few log-probabilities"
    head -n "$(wc -l <"$work/wanted")" "$work/own" | paste - "$work/wanted" |
        awk '{ d = $1 - $2; d = d < 0 ? -d : d; if (d > worst) worst = d } END { print "worst difference " worst; exit !(NR > 10 && worst <= 1e-3) }' ||
        fail "a log-probability of text $n differs by more than 1e-3"
done

note "the greedy story"
triad generate "$work/stories" --greedy --prompt "Once upon a time" --tokens 120 >"$work/story"
text "$((texts + 1))" >"$work/wanted-story"
printf '\n' >>"$work/wanted-story"
same "$work/story" "$work/wanted-story"

note "bytes that are not UTF-8 are named once"
printf 'Once \377 upon \300\257' | triad score "$work/stories" >"$work/out" 2>"$work/err"
said "not UTF-8 in 3 places"
expect_status 0 triad generate "$work/stories" --greedy --prompt "$(printf 'Once\377')" --tokens 2
said "not UTF-8 in 1 places"

note "what is wrong is said"
expect_status 4 triad score "$work/nowhere" --text x
expect_status 3 triad generate "$work/stories" --top-p 0
expect_status 3 triad generate "$work/stories" --prompt a --chat b
expect_status 3 triad generate "$work/stories" --input a
said "goes with --format"
expect_status 3 triad worker start --name ../elsewhere
mkdir "$work/no-tokenizer"
expect_status 4 triad score "$work/no-tokenizer" --text x
said "no tokenizer.json"
cp "$work/stories/config.json" "$work/stories/model.safetensors" "$work/no-tokenizer"
expect_status 0 triad model inspect "$work/no-tokenizer" --output json
grep -q '"tokens": null' "$work/out" || fail "a folder without a tokenizer is not inspected"
grep -q 'no tokenizer.json' "$work/out" || fail "it is not said that there is no tokenizer"
grep -q '"layers": [0-9]*,$' "$work/out" || fail "a number of layers is no whole number"
HF_HUB_CACHE=$work/no-hub expect_status 4 triad plan "$TRIAD_SOURCE/experiments/manifests/paper-train.yaml"
said "missing-ok"

note "what is not whole characters is in JSON, too"
expect_status 0 triad generate "$work/stories" --temperature 1000 --count 20 --tokens 60 --output json
[ "$(grep -c '"text":' "$work/out")" = 20 ] || fail "texts are missing in JSON"
grep -q $'\xef\xbf\xbd' "$work/out" || fail "no text with U+FFFD: this test shows nothing"
expect_status 2 triad generate
