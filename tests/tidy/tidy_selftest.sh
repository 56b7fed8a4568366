#!/usr/bin/env bash
# The tidy test must find what it names: plant one violation of each kind in a copy and expect it.
#
# usage: tidy_selftest.sh TREE
set -u
tree=${1:?usage: tidy_selftest.sh TREE}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r "$tree"/{base,proto,kernels,experiments,coordinator,worker,ops,tests,.clang-format} "$copy"/
cd "$copy" && git init -q . && git add -A >/dev/null 2>&1
failures=0
expect() { # NAME PATTERN: tidy must fail and say PATTERN
    out=$("$copy/tests/tidy/tidy.sh" "$copy") && { echo "$1: not noticed"; failures=1; }
    grep -q "$2" <<<"$out" || { echo "$1: expected '$2'"; failures=1; }
}
plant() { printf '%s\n' "$2" >"$1"; git add -A >/dev/null 2>&1; }

plant coordinator/core/planted.h $'/* x */\n#ifndef TRIAD_PLANTED_H\n#define TRIAD_PLANTED_H\n#include "net.h"\n#endif'
expect "core includes net" "coordinator/core must not include net.h"
plant coordinator/core/planted.h $'/* x */\n#ifndef TRIAD_PLANTED_H\n#define TRIAD_PLANTED_H\n#include <sqlite3.h>\n#endif'
expect "core includes SQLite" "must not include sqlite3.h"
plant coordinator/core/planted.h $'/* x */\n#ifndef TRIAD_PLANTED_H\n#define TRIAD_PLANTED_H\n#endif'
plant worker/planted.h $'/* x */\n#ifndef TRIAD_PLANTED_H\n#define TRIAD_PLANTED_H\n#endif'
expect "same header name twice" "two files are called planted.h"
rm worker/planted.h coordinator/core/planted.h
plant base/planted.c $'#include <stdlib.h>\nint planted(void);\nint planted(void)\n{\n    return rand();\n}'
expect "banned call" "banned call"
plant base/planted.c "/* TO""DO */"
expect "left-over" "left-over"
plant base/planted.c "int   planted ;"
command -v clang-format >/dev/null && expect "format" "not formatted"
exit $failures
