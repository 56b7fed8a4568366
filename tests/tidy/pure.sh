#!/bin/sh
# A pure room needs memory and text, nothing that reaches outside: no clock, file, socket, thread, database.
#
# usage: pure.sh LIBRARY     prints each symbol it has no use for; status 1 when there is one
set -eu
own=$(nm --defined-only "$1" | awk '$2 == "T" {print $3}' | sort -u)
allowed='arena_[a-z_]*|rng_[a-z0-9_]*|hash_[a-z0-9_]*|digest_[a-z_]*|str_[a-z0-9_]*|strbuf_[a-z_]*|labels_[a-z]*|held_set_[a-z]*|err_set|err_wrap|check_failed'
allowed="$allowed|[a-z]*_[a-z]*_name|outcome_name|job_state_is_final"
allowed="$allowed|calloc|realloc|free|qsort|memcpy|memmove|memset|memcmp|strcmp|strlen|strnlen|strdup|snprintf|vsnprintf|fmin"
allowed="$allowed|json_(array|object|string|integer)[a-z_]*|json_(delete|pack|unpack|dumps|loadb)"
allowed="$allowed|__ctype_b_loc|__[a-z_]*chk[a-z_]*|__stack_chk_fail|__asan_.*|__ubsan_.*|__tsan_.*|__gcov_.*|_GLOBAL_OFFSET_TABLE_"
# No symbol at all would mean that nm could not read the library.
needed=$(nm -u "$1" | awk '$1 == "U" {print $2}' | sort -u)
[ -n "$needed" ] || { echo "no symbols in $1"; exit 1; }
outside=$(printf '%s\n' "$needed" | grep -vxF "$own" | grep -vxE "$allowed" || true)
[ -z "$outside" ] || { echo "not pure: $1 uses"; echo "$outside"; exit 1; }
