#!/bin/sh
# check_pure.sh LIBRARY: fail when it needs a symbol that a pure state machine has no use for.
set -eu
allowed='^(agent_.*|arena_.*|str_.*|strbuf_.*|rng_.*|digest_.*|held_set_.*|check_failed'
allowed="$allowed|calloc|realloc|free|memcpy|memmove|memset|memcmp|strcmp|strlen|strnlen"
allowed="$allowed|__stack_chk_fail|__asan_.*|__ubsan_.*|__tsan_.*|__gcov_.*|_GLOBAL_OFFSET_TABLE_)\$"
# No symbol at all would mean that nm could not read the library.
symbols=$(nm -u "$1" | awk '$1 == "U" {print $2}' | sort -u)
[ -n "$symbols" ] || { echo "no symbols in $1"; exit 1; }
outside=$(printf '%s\n' "$symbols" | grep -Ev "$allowed" || true)
[ -z "$outside" ] || { echo "not pure: $1 uses"; echo "$outside"; exit 1; }
