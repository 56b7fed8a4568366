#!/usr/bin/env bash
# Keys while everything runs: one exported for a worker and a viewer, what each may do, revoked, rotated; and a
# worker cannot take another's name.
. "$(dirname "$0")/lib.sh"
state=$work/state
export TRIAD_STATE=$state

note "before the coordinator ran nobody knows where it listens"
expect_status 0 triad keys init
expect_status 4 triad keys export early --worker --out "$work/early.access"
said 'start it once'

start_coordinator "$state" --advertise localhost
grep -q 'tcp://localhost:' "$state/worker.access" || fail "--advertise is not in the access file"
expect_status 2 triad keys export
expect_status 3 triad keys export node1 --out "$work/none.access"
said 'one of --worker'
expect_status 4 triad keys export node1 --worker --out "$work/no/where.access"
said 'the folder it should go into is not there'
expect_status 4 triad backup "$work/no/where"
said 'the folder it should go into is not there'
expect_status 3 triad keys export worker --worker --out "$work/none.access"
expect_status 3 triad keys export ../escape --worker --out "$work/none.access"
[ ! -e "$work/none.access" ] || fail "a refused export left a file"

note "a worker of its own key"
expect_status 0 triad keys export node1 --worker --out "$work/node1.access"
[ "$(stat -c %a "$work/node1.access")" = 600 ] || fail "others can read the exported key"
expect_status 9 triad keys export node1 --worker --out "$work/other.access"
[ ! -e "$work/other.access" ] || fail "a refused export left a file"
expect_status 0 triad keys list --output csv
said '^node1,worker,'
daemon "$work/n1.log" "$TRIAD_BIN/triad-worker" --access "$work/node1.access" --dir "$work/n1" --name n1 --grace 1
n1=${pids[-1]}
listed() { triad worker list --output csv | grep -q "^$1,$2,"; }
wait_for 60 listed n1 ready

note "a copy of the state admits the same"
expect_status 0 triad backup "$work/copy"
cmp "$state/keys/allowed/node1.json" "$work/copy/keys/allowed/node1.json" || fail "the copy does not know the exported key"

note "nobody takes over its name with another key"
daemon "$work/thief.log" "$TRIAD_BIN/triad-worker" --access "$state/worker.access" --dir "$work/thief" --name n1 --grace 1
thief=${pids[-1]}
wait_for 60 grep -q 'another key' "$work/thief.log"
kill_hard "$thief"

note "a viewer looks and changes nothing"
expect_status 0 triad keys export eve --viewer --out "$work/eve.access"
viewer() { triad "$@" --access "$work/eve.access"; }
wait_for 60 viewer status
expect_status 0 viewer worker list --output csv
said '^n1,'
expect_status 8 viewer worker drain n1
said 'may look'
expect_status 8 viewer coordinator stop
expect_status 8 viewer submit "$manifest"

note "revoked while connected"
expect_status 3 triad keys revoke worker
expect_status 4 triad keys revoke nobody
expect_status 0 triad keys revoke node1
expect_status 0 triad keys revoke eve
wait_for 60 listed n1 lost
eve_is_out() { viewer status >/dev/null 2>&1; [ $? = 8 ]; }
wait_for 60 eve_is_out
kill_hard "$n1"

note "rotated: the former key works until it is revoked"
cp "$state/client.access" "$work/before.access"
chmod 600 "$work/before.access"
expect_status 0 triad keys rotate client
changed() { ! cmp -s "$state/client.access" "$work/before.access"; }
wait_for 60 changed
expect_status 0 triad status --access "$work/before.access"
expect_status 0 triad status
expect_status 0 triad keys revoke former-client-1
before_is_out() { triad status --access "$work/before.access" >/dev/null 2>&1; [ $? = 8 ]; }
wait_for 60 before_is_out
expect_status 0 triad status
expect_status 0 triad keys rotate client --at-once
wait_for 60 triad status

note "a damaged entry admits nobody and disturbs nobody"
echo '{"triad_allowed": 1, "role": "admin"' >"$state/keys/allowed/bad.json"
wait_for 60 grep -q key_file_refused "$work/coordinator.log"
expect_status 0 triad status
expect_status 0 triad keys list
said 'admits nobody'
