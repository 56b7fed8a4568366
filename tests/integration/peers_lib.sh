# What the tests of checkpoints that go from worker to worker have in common. Sourced after lib.sh.
# shellcheck shell=bash

# 70 MB of weights that nobody trained for long: it is about moving them. Only workers with the label evaluate.
cat >"$work/peers.yaml" <<'END'
experiment: peers
seeds: [42]
notes: a test of the machinery, not of the models
families:
  toy:
    architecture: {kind: llama, layers: 2, width: 768, heads: 6, kv_heads: 2, mlp: 3072, context: 512}
    tokenizer: {train: bpe, vocabulary: 1024}
    train: {batch_tokens: 1024, sequence_tokens: 256, checkpoint_steps: 1000, learning_rate: 1e-3}
    variants:
      PT: {pretrain: {mix: pretrain-small, tokens: 1k}}
evaluate:
  - {suite: steerability, tasks: [urn_icl, housevotes, bigfive, flight_small], max_sequences: 3}
resources: {train: {threads: 1}, evaluate: {threads: 1, labels: fetch}}
END
sed 's/, labels: fetch//' "$work/peers.yaml" >"$work/calm.yaml"
# The tasks but one first, so that there is something left to evaluate for a worker that comes later.
sed 's/, flight_small//' "$work/peers.yaml" >"$work/first.yaml"

traffic() { # WORKER COLUMN
    triad worker show --output csv >"$work/traffic" 2>/dev/null
    awk -F, -v worker="$1" -v column="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i }
        $1 == worker { print $at }' "$work/traffic"
}
# Reports come every 5 s: until the numbers of a worker reach LEAST.
reaches() { local is; is=$(traffic "$1" "$2"); [ "${is:-0}" -ge "$3" ]; }
is() { [ "$(traffic "$1" "$2")" = "$3" ]; }
trained() { show toy/PT && [ "$(field "$work/show" state)" = done ]; }
# part_bytes FOLDER: of the blob that is on its way to a worker.
part_bytes() {
    local part
    part=$(find "$1/cache" -name '*.part' 2>/dev/null | head -n 1)
    [ -z "$part" ] && echo 0 || stat -c %s "$part" 2>/dev/null || echo 0
}
# stop_at BYTES FOLDER PID: once so much of a blob is in the worker's folder, before the rest is there.
stop_at() {
    local deadline=$((SECONDS + 60))
    until [ "$(part_bytes "$2")" -ge "$1" ]; do [ "$SECONDS" -lt "$deadline" ] || fail "nothing arrives"; done
    kill -STOP "$3"
}
