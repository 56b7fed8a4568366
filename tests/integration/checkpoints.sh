#!/usr/bin/env bash
# Checkpoints as people have them, through the command line alone: a folder in the hub's cache, behind links, is
# inspected, planned with its commit, converted, and run in an experiment; damaged ones are refused; what Triad
# writes is read by numpy.
. "$(dirname "$0")/lib.sh"
golden=$TRIAD_SOURCE/tests/golden/stories260K
commit=0123456789abcdef0123456789abcdef01234567
export HF_HUB_CACHE=$work/hub
repository=$HF_HUB_CACHE/models--karpathy--stories

note "a repository in the cache: refs, blobs, links"
expect_status 0 triad model import "$golden/stories260K.bin" "$work/stories"
mkdir -p "$repository/refs" "$repository/blobs" "$repository/snapshots/$commit"
printf '%s' "$commit" >"$repository/refs/main"
for file in "$work"/stories/*; do
    name=$(basename "$file")
    cp "$file" "$repository/blobs/$name.blob"
    ln -s "../../blobs/$name.blob" "$repository/snapshots/$commit/$name"
done
echo '{{ bos_token }}{{ messages }}' >"$repository/snapshots/$commit/chat_template.jinja"
echo 'not ours' >"$repository/snapshots/$commit/pytorch_model.bin"

note "inspect"
expect_status 0 triad model inspect hf:karpathy/stories --output json
grep -q "\"commit\": \"$commit\"" "$work/out" || fail "inspect does not name the commit"
grep -q '"family": "llama"' "$work/out" || fail "inspect does not name the family"
grep -q 'chat template is not known' "$work/out" || fail "an unknown template is not warned of"
expect_status 4 triad model inspect hf:karpathy/stories@v9
grep -q "revisions there: main" "$work/err" || fail "it is not said which revisions there are"
expect_status 3 triad model inspect hf:karpathy
expect_status 0 triad score hf:karpathy/stories@main --text "Once upon a time" --output json
cp "$work/out" "$work/score-f32"

note "convert; numpy reads what was written"
expect_status 0 triad model convert hf:karpathy/stories "$work/bf16" --dtype bf16
expect_status 0 triad model convert "$work/bf16" "$work/f32" --dtype f32
expect_status 0 triad model convert hf:karpathy/stories "$work/copy"
expect_status 9 triad model convert hf:karpathy/stories "$work/copy"
same "$work/copy/model.safetensors" "$work/stories/model.safetensors"
same "$work/copy/chat_template.jinja" "$repository/snapshots/$commit/chat_template.jinja"
same "$work/bf16/tokenizer.json" "$work/stories/tokenizer.json"
[ ! -e "$work/copy/pytorch_model.bin" ] || fail "weights of another format came along"
if python3 -c 'import numpy' 2>/dev/null; then python=python3; else python=/usr/bin/python3; fi
if $python -c 'import numpy' 2>/dev/null; then
    $python "$TRIAD_SOURCE/tests/oracle/read_checkpoint.py" "$work/copy" f32 "$golden/stories260K.bin"
    $python "$TRIAD_SOURCE/tests/oracle/read_checkpoint.py" "$work/bf16" bf16 "$golden/stories260K.bin"
else
    note "no numpy here: what was written is not read by it"
fi
expect_status 0 triad score "$work/bf16" --text "Once upon a time" --output json
cp "$work/out" "$work/score-bf16"
expect_status 0 triad score "$work/f32" --text "Once upon a time" --output json
same "$work/out" "$work/score-bf16" # a bf16 number is the same number as a float
cmp -s "$work/score-f32" "$work/score-bf16" && fail "rounding to bf16 changed nothing"

note "what is damaged is refused, by name"
cp -r "$work/copy" "$work/bad"
truncate -s -5 "$work/bad/model.safetensors"
expect_status 3 triad score "$work/bad" --text x
grep -q 'model.safetensors' "$work/err" || fail "the file is not named"
cp "$work/copy/model.safetensors" "$work/bad/model.safetensors"
printf '\xff\xff\xff\x7f' | dd of="$work/bad/model.safetensors" bs=1 seek=$(($(stat -c %s "$work/bad/model.safetensors") - 4)) \
    conv=notrunc status=none
expect_status 3 triad model inspect "$work/bad" --check
grep -q "'model.norm.weight'.*infinite or NaN at row 0, column 63" "$work/err" || fail "the NaN is not named"
expect_status 3 triad generate "$work/bad" --prompt x
rm "$work/bad/model.safetensors"
expect_status 4 triad score "$work/bad" --text x

note "an experiment on it: the plan has the commit, the model comes back"
cat >"$work/hub.yaml" <<'MANIFEST'
experiment: hub
families:
  stories:
    turns: llama2
    variants:
      PT: {checkpoint: "hf:karpathy/stories"}
evaluate:
  - {suite: steerability, tasks: [urn_icl], max_sequences: 4, k: 2}
MANIFEST
cd "$work"
expect_status 0 triad plan "$work/hub.yaml" --output json
grep -q "\"commit\":\"$commit\"" "$work/out" || fail "the plan does not name the commit"
cp "$work/out" "$work/plan-here"
# The files it lists are all that it takes: copied elsewhere, they give the same plan to the byte.
expect_status 0 triad plan "$work/hub.yaml" --files
mkdir "$work/there"
tar -chf - -T "$work/out" 2>/dev/null | tar -xf - -C "$work/there"
mv "$repository" "$repository.away"
HF_HUB_CACHE=$work/there$HF_HUB_CACHE TRIAD_EXPERIMENTS=$work/there$TRIAD_SOURCE/experiments \
    expect_status 0 triad plan "$work/there$work/hub.yaml" --output json
same "$work/plan-here" "$work/out"
mv "$repository.away" "$repository"
expect_status 0 triad run "$work/hub.yaml" --quiet
expect_status 0 triad model get stories/PT "$work/exported"
expect_status 0 triad model inspect "$work/exported" --output json
grep -q '<|eot_id|>' "$work/out" || fail "the turn tokens were not appended"
same "$work/exported/chat_template.jinja" "$repository/snapshots/$commit/chat_template.jinja"

note "score a data set, answer a chat, follow a format"
cat >"$work/items.jsonl" <<'DATASET'
{"triad_dataset":1,"purpose":"evaluate","name":"two","format":"colon","sequences":2,"pairing":""}
{"id":"two/0","segments":[["s","<s>",0,-1],["t","Output:",0,0],["t"," Once",1,0],["t","\n\n",2,0],["t","Output:",0,1],["t"," Tim",1,1],["t","\n\n",2,1]]}
{"id":"two/1","segments":[["s","<s>",0,-1],["t","Output:",0,0],["t"," Lily",1,0],["t","\n\n",2,0]]}
DATASET
expect_status 0 triad score "$work/exported" --dataset "$work/items.jsonl" --output json
[ "$(field "$work/out" items)" = 3 ] || fail "not three items"
field "$work/out" content_nats | awk '{ n++; if (n <= 3) sum += $1; else total = $1 } END { exit !(n == 4 && sum > 0 && (sum - total)^2 < 1e-12) }' ||
    fail "the items' nats are not those of the total"
expect_status 3 triad score "$work/exported" --dataset "$work/items.jsonl" --text x
for run in 1 2; do
    expect_status 0 triad generate "$work/exported" --chat "Hello" --system "Be brief." --turns llama2 --tokens 6 --count 3 --seed 7 --output json
    cp "$work/out" "$work/chat-$run"
done
same "$work/chat-1" "$work/chat-2"
[ "$(field "$work/out" prompt_tokens | sort -u | wc -l)" = 1 ] && [ "$(field "$work/out" index | wc -l)" = 3 ] || fail "not three answers"
expect_status 3 triad generate "$work/exported" --chat "Hello" --turns qwen3
grep -q "no token '<|im_start|>'" "$work/err" || fail "the missing token is not named"
expect_status 0 triad generate "$work/exported" --format colon --turns llama2 --description "A name." --tokens 20 --count 4
[ "$(wc -l <"$work/out")" = 4 ] || fail "colon outputs are not one line each"

note "a checkpoint with all tokens is taken as it is"
sed -e 's/experiment: hub/experiment: again/' -e "s#hf:karpathy/stories#$work/exported#" hub.yaml >again.yaml
expect_status 0 triad run "$work/again.yaml" --quiet
# The same files have the same digest: nothing was written anew.
for experiment in hub again; do
    triad job list --experiment "$experiment" --output json >"$work/jobs"
    field "$work/jobs" artifact | grep -v null | sort -u >"$work/artifact-$experiment"
    [ "$(wc -l <"$work/artifact-$experiment")" = 1 ] || fail "not one model in $experiment"
done
same "$work/artifact-again" "$work/artifact-hub"
