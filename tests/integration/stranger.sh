#!/usr/bin/env bash
# Keys made elsewhere open nothing, a worker's key is no client's, and files that others can read are refused.
. "$(dirname "$0")/lib.sh"
state=$work/state
start_coordinator "$state"
triad keys init --keys "$work/foreign" --state "$work/other" 2>/dev/null

# replace FILE OLD NEW: on stdout, every OLD replaced, literally.
replace() { awk -v a="$2" -v b="$3" '{ while ((i = index($0, a)) > 0) $0 = substr($0, 1, i - 1) b substr($0, i + length(a)); print }' "$1"; }
# foreign_access ROLE: the access file of a role with the keys of somebody else, in $work/ROLE.foreign.
foreign_access() {
    local own=$state/keys/$1.key other=$work/foreign/$1.key
    for part in public secret; do
        [ -n "$(field "$own" $part)" ] && [ -n "$(field "$other" $part)" ] || fail "cannot read the key files"
    done
    replace "$state/$1.access" "$(field "$own" public)" "$(field "$other" public)" >"$work/step"
    replace "$work/step" "$(field "$own" secret)" "$(field "$other" secret)" >"$work/$1.foreign"
    chmod 600 "$work/$1.foreign"
    cmp -s "$work/$1.foreign" "$state/$1.access" && fail "this test did not change the keys"
    return 0
}

note "a stranger's key at the clients' door"
foreign_access client
expect_status 8 triad status --access "$work/client.foreign"
note "a stranger's key at the workers' door"
foreign_access worker
daemon "$work/w1.log" "$TRIAD_BIN/triad-worker" --access "$work/worker.foreign" --dir "$work/w1" --name w1
wait_for 60 grep -q 'does not know this key' "$work/w1.log"
note "a stranger's key at the blobs' door"
control=$(field "$work/client.foreign" endpoint | head -n 1)
blobs=$(field "$work/client.foreign" data_endpoint)
[ -n "$control" ] && [ -n "$blobs" ] && [ "$control" != "$blobs" ] || fail "cannot read the endpoints"
replace "$work/client.foreign" "$control" "$blobs" >"$work/blobs.foreign"
chmod 600 "$work/blobs.foreign"
expect_status 8 triad status --access "$work/blobs.foreign"
note "a worker's key at the clients' door, a client's key at the workers'"
expect_status 8 triad status --access "$state/worker.access"
expect_status 1 timeout 60 "$TRIAD_BIN/triad-worker" --access "$state/client.access" --dir "$work/w2" --name w2
note "a key file that others can read"
cp "$state/client.access" "$work/open.access"
chmod 644 "$work/open.access"
expect_status 8 triad status --access "$work/open.access"
said chmod

expect_status 0 triad status --state "$state"
expect_status 0 triad worker list --state "$state" --output csv
grep -q 'w[12]' "$work/out" && fail "a refused worker is listed"
exit 0
