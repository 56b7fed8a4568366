#!/usr/bin/env bash
# Tokenizers through the command line alone: train one (the golden file, whose ids Hugging Face's library
# confirmed), look at a text, at a sequence of a dataset and where its loss falls, and be told what is wrong.
. "$(dirname "$0")/lib.sh"
golden=$TRIAD_SOURCE/tests/golden
model=$golden/tokenizer/license-1024.json

note "train"
expect_status 0 triad tokenizer train "$TRIAD_SOURCE/LICENSE" --vocabulary 1024 --out "$work/own"
said "learned 1024 entries"
same "$work/own/tokenizer.json" "$model"
expect_status 9 triad tokenizer train "$TRIAD_SOURCE/LICENSE" --vocabulary 1024 --out "$work/own"
expect_status 0 triad tokenizer train "$TRIAD_SOURCE/LICENSE" --vocabulary 300 --specials '<a>,<b c>' --out "$work/other"
expect_status 0 triad tokenize "$work/other" --special --text 'x<b c>' --output csv
said '^1,299,"?.*<b c>.*",1,6,special$'
printf 'aa\377aa' >"$work/bytes"
expect_status 0 triad tokenizer train "$work/bytes" --vocabulary 300 --out "$work/short"
said "not UTF-8 in 1 places"
said "need more text"
expect_status 3 triad tokenizer train "$TRIAD_SOURCE/LICENSE" --vocabulary 260 --out "$work/none"
said "256 bytes"
expect_status 4 triad tokenizer train "$work/nowhere" --out "$work/none"
expect_status 3 triad tokenizer train "$TRIAD_SOURCE/LICENSE"
[ ! -e "$work/none" ] || fail "a folder is left of a training that failed"

note "a text"
expect_status 0 triad tokenize "$work/own" --text 'the é' --output csv
[ "$(grep -c ',4,6,' "$work/out")" = 2 ] || fail "both bytes of a character have its place"
printf 'a\377b' | triad tokenize "$work/own" >"$work/out" 2>"$work/err"
said "not UTF-8 in 1 places"
printf 'one two' >"$work/text"
expect_status 0 triad tokenize "$work/own" --file "$work/text" --bos --total
said "tokens for 7 bytes"

note "special tokens only when asked"
expect_status 0 triad tokenize "$work/own" --text '<|eot_id|>' --output json
! grep -q '"special"' "$work/out" || fail "plain text gave a special token"
expect_status 0 triad tokenize "$work/own" --text '<|eot_id|>' --special --output json
[ "$(field "$work/out" id)" = 1023 ] || fail "no special token though asked"

note "where the loss falls"
expect_status 0 triad tokenize "$work/own" --dataset "$golden/datasets/urn_icl.spectrum.jsonl" --sequence urn_icl/0 --output json
# Four outputs, each with its terminator; the first line of the golden file says so.
[ "$(grep -c '"loss": "terminator"' "$work/out")" = 4 ] || fail "not four terminators"
[ "$(grep -c '"loss": "content"' "$work/out")" -ge 4 ] || fail "fewer pieces with loss than outputs"
expect_status 0 triad tokenize "$work/own" --dataset "$golden/datasets/urn_icl.spectrum.jsonl" --sequence 0
said "of them have a loss"
expect_status 4 triad tokenize "$work/own" --dataset "$golden/datasets/urn_icl.spectrum.jsonl" --sequence 99
said "below 6"

note "what is wrong is said"
expect_status 3 triad tokenize "$work/own" --text x --file y
expect_status 3 triad tokenize "$work/own" --text x --sequence 0
said 'sequence goes with --dataset only'
expect_status 3 triad tokenize "$work/own" --dataset x --bos
expect_status 4 triad tokenize "$work/nowhere" --text x
sed 's/"ignore_merges": false/"surprise": 1/' "$model" >"$work/odd.json"
expect_status 3 triad tokenize "$work/odd.json" --text x
said "key 'surprise'"
