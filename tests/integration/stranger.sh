#!/usr/bin/env bash
# Keys made elsewhere open nothing, a worker's key is no client's, and files that others can read are refused.
. "$(dirname "$0")/lib.sh"
state=$work/state
start_coordinator "$state"
triad keys init --keys "$work/foreign" --state "$work/other" 2>/dev/null
secret=$(field "$work/foreign/client.key" secret)
public=$(field "$work/foreign/client.key" public)
own_public=$(field "$state/keys/client.key" public)
own_secret=$(field "$state/keys/client.key" secret)
[ -n "$secret" ] && [ -n "$own_secret" ] || fail "cannot read the key files of this test"
note "a stranger's key"
replace() { awk -v a="$2" -v b="$3" '{ while ((i = index($0, a)) > 0) $0 = substr($0, 1, i - 1) b substr($0, i + length(a)); print }' "$1"; }
replace "$state/client.access" "$own_public" "$public" >"$work/step"
replace "$work/step" "$own_secret" "$secret" >"$work/stranger.access"
chmod 600 "$work/stranger.access"
cmp -s "$work/stranger.access" "$state/client.access" && fail "this test did not change the keys"
expect_status 8 triad status --access "$work/stranger.access"
note "a worker's key at the clients' door"
expect_status 8 triad status --access "$state/worker.access"
note "a key file that others can read"
cp "$state/client.access" "$work/open.access"
chmod 644 "$work/open.access"
expect_status 8 triad status --access "$work/open.access"
grep -q chmod "$work/err" || { cat "$work/err"; fail "no advice to chmod"; }
expect_status 0 triad status --state "$state"
