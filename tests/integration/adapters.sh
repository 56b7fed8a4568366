#!/usr/bin/env bash
# What a training with LoRA leaves: a merged model, and an adapter that makes the same model of the one it was
# trained on; its curves; and the memory plan in its log.
. "$(dirname "$0")/lib.sh"

sed -e 's/instruct: {mix/instruct: {lora: {rank: 2, targets: [q_proj, o_proj, up_proj], dropout: 0.1}, mix/' \
    -e '/instruct:/s/steps: 6/steps: 60/' -e 's/spectrum: {tasks/spectrum: {saved_as: bf16, lora: {rank: 1, embeddings: false, head: false}, tasks/' "$manifest" >"$work/lora.yaml" # long enough for checkpoints to arrive
grep -q 'rank: 2' "$work/lora.yaml" && grep -q saved_as "$work/lora.yaml" || fail "tiny.yaml has another form"
export TRIAD_STATE=$work/state
expect_status 0 triad run "$work/lora.yaml" --quiet
expect_status 0 triad model get toy/PT "$work/pt"
expect_status 0 triad model get toy/IT "$work/it"
expect_status 0 triad model adapter "$work/it" "$work/adapter" --base some/model
grep -q '"base_model_name_or_path": "some/model"' "$work/adapter/adapter_config.json" || fail "no base model's name"
expect_status 0 triad model merge "$work/pt" "$work/adapter" "$work/merged"
same "$work/it/model.safetensors" "$work/merged/model.safetensors"
# The adapter does not say where turns end; the trained model does, and brings their template.
end=$(tr ',{' '\n\n' <"$work/it/tokenizer.json" | grep -B 1 '"content": "<|eot_id|>"' | sed -n 's/.*"id": //p')
for file in config.json generation_config.json; do
    same "$work/pt/$file" "$work/merged/$file"
    for folder in pt it; do
        tr -d ' \n' <"$work/$folder/$file" | sed 's/1e-05/1e-5/' >"$work/$folder.flat"
        sed -E 's/"eos_token_id":(\[[0-9,]*\]|[0-9]+),?//' "$work/$folder.flat" >"$work/$folder.rest"
    done
    same "$work/pt.rest" "$work/it.rest"
    grep -q "\"eos_token_id\":\[[0-9]*,$end\]" "$work/it.flat" || fail "$file does not stop at $end"
done
[ ! -e "$work/pt/chat_template.jinja" ] || fail "a pretrained model has a chat template"
grep -q "+ 'assistant' +" "$work/it/chat_template.jinja" || fail "no chat template"
expect_status 0 triad model inspect "$work/it"
said "Triad's chat"
cmp -s "$work/pt/model.safetensors" "$work/it/model.safetensors" && fail "the training changed nothing"
expect_status 9 triad model merge "$work/pt" "$work/adapter" "$work/merged"
expect_status 4 triad model adapter "$work/pt" "$work/none"
# One that is stored in half the size; it has been evaluated, and scores as any other.
expect_status 0 triad model get toy/ST "$work/st"
grep -q '"torch_dtype": "bfloat16"' "$work/st/config.json" || fail "config.json does not say bfloat16"
[ "$(stat -c %s "$work/st/model.safetensors")" -lt $(($(stat -c %s "$work/pt/model.safetensors") * 6 / 10)) ] || fail "not half the size"
# An adapter without the embedding's rows from IT would make another model: there is none.
expect_status 4 triad model adapter "$work/st" "$work/none"
expect_status 0 triad plan "$work/lora.yaml"
said "cannot hold the rows of embeddings_from"
expect_status 0 triad score "$work/st" --text "A bird is an animal."
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
