#!/usr/bin/env bash
# Workers from a real Slurm on this machine: asked for when there is work and none is free, never more than needed,
# leaving when idle; cancelled and failing allocations; a restart of the coordinator in between; removal.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/slurm_lib.sh"
start_slurm "$(nproc)"

state=$work/state
export TRIAD_STATE=$state
start_coordinator "$state" --heartbeat-ms 500
jobs_of_slurm() { squeue -h -t pending,running -o %j | grep -c '^triad-' || true; }

note "what cannot be is refused"
expect_status 3 triad alloc add pbs --cores 1 --time 10m
expect_status 3 triad alloc add slurm --time 10m
expect_status 3 triad alloc add slurm --cores 1 --time 1m
said 'at least'
expect_status 3 triad alloc add slurm --cores 1 --time 10m --dry-run -- --partition=nowhere
said 'refuses it'
expect_status 3 triad alloc add slurm --cores 1 --time 10m --dry-run --data-listen here:there
said 'data-listen wants'
expect_status 0 triad alloc add slurm --cores 1 --time 10m --dry-run --data-listen 127.0.0.1 -- '--comment=two words'
said "^sbatch .* '--comment=two words' <<'SCRIPT'"
said "data-listen '127.0.0.1'"
said 'nothing was added'
expect_status 0 triad alloc list --output csv
grep -q active "$work/out" && fail "a dry run added a queue"
expect_status 4 triad alloc show nope

note "no work, no allocations"
expect_status 0 triad alloc add slurm --name small --cores 1 --time 10m --max-workers 3 --backlog 2 --idle 3s --data-listen 127.0.0.1
expect_status 9 triad alloc add slurm --name small --cores 1 --time 10m
sleep 3
[ "$(jobs_of_slurm)" = 0 ] || fail "allocations without work"

note "work, and a coordinator that is killed meanwhile"
expect_status 0 triad submit "$manifest"
has_one() { [ "$(jobs_of_slurm)" -ge 1 ]; }
wait_for 60 has_one
[ "$(jobs_of_slurm)" -le 1 ] || { squeue; fail "one job can run (pretrain), and $(jobs_of_slurm) allocations were asked for"; }
kill_hard "$coordinator"
start_coordinator "$state" --heartbeat-ms 500
expect_status 0 triad watch tiny --timeout 200s
triad worker list --output csv >"$work/workers"
grep -q '^triad-' "$work/workers" || { cat "$work/workers"; fail "no worker came from Slurm"; }
[ "$(grep -c '^triad-' "$work/workers")" -le 3 ] || { cat "$work/workers"; fail "more workers than allowed"; }
expect_status 0 triad report tiny --format csv
grep -q missing "$work/out" && fail "something is missing in the report"

note "idle workers leave, and that is no failure"
none_left() { [ "$(jobs_of_slurm)" = 0 ]; }
wait_for 60 none_left
ended_well() { triad alloc show small --output csv | grep -q ',done,came,'; }
wait_for 60 ended_well
expect_status 0 triad alloc show small
said 'asked for'
said 'data-listen 127.0.0.1'
grep -q 'serving endpoint=tcp://127.0.0.1:' "$state"/alloc/triad-*-small-*.log || fail "its workers serve nothing"
expect_status 0 triad alloc list --output csv
said '^small,active,'

note "workers that never come pause the queue, with the reason"
expect_status 0 triad alloc remove small
# Their access file leads to a program that ends at once: the worker refuses a file that others can read.
cp "$state/worker.access" "$work/open.access"
chmod 644 "$work/open.access"
expect_status 0 triad alloc add slurm --name broken --cores 1 --time 10m --max-workers 1 --backlog 1 --worker-access "$work/open.access"
sed 's/^experiment: tiny/experiment: more/; s/seeds: .42./seeds: [43]/' "$manifest" >"$work/more.yaml"
expect_status 0 triad submit "$work/more.yaml"
is_paused() { triad alloc list --output csv | grep -q '^broken,paused,'; }
wait_for 120 is_paused
expect_status 0 triad alloc show broken
said 'never registered'
said 'triad alloc resume broken'
expect_status 0 triad alloc remove broken

note "an allocation that somebody else cancels is replaced"
expect_status 0 triad alloc add slurm --name again --cores 1 --time 10m --max-workers 1 --backlog 1 --idle 3s
wait_for 60 has_one
cancelled=$(squeue -h -t pending,running -o %i | head -n 1)
scancel "$cancelled"
replaced() { squeue -h -t pending,running -o %i | grep -qvx "$cancelled"; }
wait_for 60 replaced
expect_status 0 triad watch more --timeout 200s

note "removal cancels what is there"
sed 's/^experiment: tiny/experiment: last/; s/seeds: .42./seeds: [44]/; s/tokens: 60k/tokens: 900k/' "$manifest" >"$work/last.yaml"
expect_status 0 triad submit "$work/last.yaml"
wait_for 60 has_one
expect_status 0 triad alloc remove again
wait_for 60 none_left
triad job cancel --experiment last 2>/dev/null
exit 0
