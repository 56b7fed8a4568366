#!/usr/bin/env bash
# What a training with LoRA leaves: a merged model, and an adapter that makes the same model of the one it was
# trained on; its curves; and the memory plan in its log.
. "$(dirname "$0")/lib.sh"

sed -e 's/instruct: {mix/instruct: {lora: {rank: 2, targets: [q_proj, o_proj, up_proj], dropout: 0.1}, mix/' \
    -e '/instruct:/s/steps: 6/steps: 60/' "$manifest" >"$work/lora.yaml" # long enough for checkpoints to arrive
grep -q 'rank: 2' "$work/lora.yaml" || fail "tiny.yaml has another form"
export TRIAD_STATE=$work/state
expect_status 0 triad run "$work/lora.yaml" --quiet
expect_status 0 triad model get toy/PT "$work/pt"
expect_status 0 triad model get toy/IT "$work/it"
expect_status 0 triad model adapter "$work/it" "$work/adapter" --base some/model
grep -q '"base_model_name_or_path": "some/model"' "$work/adapter/adapter_config.json" || fail "no base model's name"
expect_status 0 triad model merge "$work/pt" "$work/adapter" "$work/merged"
same "$work/it/model.safetensors" "$work/merged/model.safetensors"
same "$work/it/config.json" "$work/merged/config.json"
cmp -s "$work/pt/model.safetensors" "$work/it/model.safetensors" && fail "the training changed nothing"
expect_status 9 triad model merge "$work/pt" "$work/adapter" "$work/merged"
expect_status 4 triad model adapter "$work/pt" "$work/none"
# What it would have resumed from: the adapter alone.
expect_status 0 triad model get toy/IT "$work/checkpoint" --checkpoint
[ "$(ls "$work/checkpoint" | tr '\n' ' ')" = "adapter_config.json adapter_model.safetensors optimizer.safetensors trainer_state.json " ] ||
    { ls "$work/checkpoint"; fail "the checkpoint is not an adapter and its state"; }
expect_status 4 triad model get toy/IT/urn_icl "$work/none"
triad curves toy/IT --output csv 2>/dev/null >"$work/curves"
steps=$(($(wc -l <"$work/curves") - 1))
[ "$(tail -n 1 "$work/curves" | cut -d, -f2)" = $((steps - 1)) ] || { cat "$work/curves"; fail "steps are missing"; }
triad job logs toy/IT 2>/dev/null >"$work/log"
grep -q '^memory plan: ' "$work/log" && grep -q '^  adapter ' "$work/log" || { cat "$work/log"; fail "no memory plan"; }
