#!/usr/bin/env bash
# The tree's own rules, as a test: includes point the allowed way, file names are unique, files stay
# readable in size, nothing banned or left over, every header has a guard and every script a usage text.
#
# usage: tidy.sh TREE        prints each violation; status 1 when there is one
set -u
cd "${1:?usage: tidy.sh TREE}" || exit 2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rules="$here/includes.txt"
bad=0
complain() { printf '%s\n' "$*"; bad=1; }

mapfile -t sources < <(find base proto kernels experiments coordinator worker ops tests -name '*.[ch]' | LC_ALL=C sort)
[ "${#sources[@]}" -gt 10 ] || { echo "no sources found"; exit 2; }

# 1. Includes.
while read -r line; do complain "$line"; done < <(printf '%s\n' "${sources[@]}" | grep -v '^tests/' | xargs awk -v rules="$rules" '
    function folder_of(path) { sub(/\/[^\/]*$/, "", path); return path }
    # The folder of the rule table that a path belongs to: the longest one that is a prefix.
    function room(path,    best, f) {
        best = ""
        for (f in allowed) if (index(path "/", f "/") == 1 && length(f) > length(best)) best = f
        return best
    }
    BEGIN {
        while ((getline line < rules) > 0) {
            if (line ~ /^#/ || line == "") continue
            split(line, half, ":")
            if (line ~ /^@/) { key = substr(half[1], 2); third[key] = " " half[2] " " }
            else allowed[half[1]] = " " half[2] " "
        }
        for (i = 1; i < ARGC; i++) { n = split(ARGV[i], parts, "/"); home[parts[n]] = folder_of(ARGV[i]) }
    }
    /^[ \t]*#[ \t]*include[ \t]*[<"]/ {
        name = $0; sub(/^[^<"]*[<"]/, "", name); sub(/[>"].*/, "", name)
        mine = room(folder_of(FILENAME))
        if (name ~ /\.\./) print FILENAME ":" FNR ": include with a relative path: " name
        if (name in home) {
            other = room(home[name])
            if (other != mine && index(allowed[mine], " " other " ") == 0)
                print FILENAME ":" FNR ": " mine " must not include " name " of " other
        }
        for (key in third) if (index(name, key) == 1 && index(third[key], " " mine " ") == 0)
            print FILENAME ":" FNR ": " mine " must not include " name
    }')

# 2. Unique file names (headers are included by bare name).
while read -r name; do complain "two files are called $name"; done < <(
    printf '%s\n' "${sources[@]}" | sed 's|.*/||' | grep '\.h$' | LC_ALL=C sort | uniq -d)

# 3. Sizes. Golden tables and generated tests have no limit; code a person must hold in mind has.
for f in "${sources[@]}"; do
    lines=$(wc -l <"$f")
    case "$f" in tests/*) limit=1000 ;; *) limit=750 ;; esac
    [ "$lines" -le "$limit" ] || complain "$f: $lines lines, more than $limit"
done

# 4. Banned calls: unbounded, locale- or state-dependent, or exiting from a library.
while read -r line; do complain "$line: banned call"; done < <(
    printf '%s\n' "${sources[@]}" | grep -v -e '^tests/' -e '/main\.c$' |
        xargs grep -nE '(^|[^a-zA-Z0-9_.>])(strcpy|strcat|sprintf|vsprintf|gets|atoi|atof|rand|srand|random|gettimeofday|strtok|exit)[ ]*\(' |
        grep -vE '^[^:]*:[0-9]+: *(\*|//|/\*)' | grep -v 'NOLINT' | cut -d: -f1,2)

# 5. Left-overs. The words are split here so that this file does not find itself.
while read -r line; do complain "$line: left-over"; done < <(
    git ls-files 2>/dev/null | grep -vE '^(tests/golden|tests/fuzz/corpus|LICENSE)' |
        xargs grep -nIE 'TO''DO|FIX''ME|\bXX''X\b|HA''CK|/wo''rk/' 2>/dev/null | cut -d: -f1,2)

# 6. Header guards, and no header without a first comment.
for f in "${sources[@]}"; do
    case "$f" in *.h)
        grep -q '^#ifndef TRIAD_' "$f" || complain "$f: no TRIAD_ include guard"
        head -n 1 "$f" | grep -q '^/\*' || complain "$f: does not begin with a comment that says what it is" ;;
    esac
done

# 7. Format.
if command -v clang-format >/dev/null; then
    while read -r f; do complain "$f: not formatted (clang-format -i $f)"; done < <(
        printf '%s\n' "${sources[@]}" | xargs clang-format --dry-run -Werror 2>&1 | sed -n 's/:[0-9]*:[0-9]*: error:.*//p' | LC_ALL=C sort -u)
fi
exit $bad
