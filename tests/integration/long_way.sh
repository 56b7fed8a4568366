#!/usr/bin/env bash
# The long way: keys, coordinator, worker, submit, status, job verbs, report, drain, stop; and the exit codes
# of what cannot be.
. "$(dirname "$0")/lib.sh"
state=$work/state
export TRIAD_STATE=$state

note "before there is anything"
expect_status 5 triad status
expect_status 5 triad submit "$manifest"
expect_status 0 triad keys init
expect_status 9 triad keys init
limit_s=60 expect_status 4 triad worker start --state "$work/nowhere"
said 'triad keys export'
[ ! -e "$work/nowhere" ] || fail "a worker that could not start left a folder"
expect_status 3 triad coordinator start --worker-port 99999
expect_status 3 triad coordinator start --listen 999.1.1.1 --detach
said 'IPv4 address'
expect_status 5 triad coordinator start --listen 192.0.2.77 --detach # an address that no machine has
said "listen at 'tcp://192.0.2.77.*no IPv4 address or network interface of this machine$"
limit_s=60 expect_status 4 triad coordinator start --state "$work/nowhere"
said 'triad keys init'

note "detached: it belongs to no terminal"
expect_status 0 triad coordinator start --detach
detached=$(cat "$state/coordinator.pid")
pids+=("$detached")
[ "$(ps -o sid= -p "$detached" | tr -d ' ')" = "$detached" ] || fail "it is still in our session"
expect_status 0 triad coordinator stop
wait_for 60 has_ended "$detached"
note "slips are found early"
touch "$work/a-file"
expect_status 9 triad run "$manifest" --state "$work/early" --report-dir "$work/a-file" # before it works, not after
[ ! -e "$work/early/coordinator.pid" ] || fail "a run that could not report began all the same"
# What is printed has to arrive.
status=0
triad plan "$manifest" --state "$work/early" >/dev/full 2>"$work/err" || status=$?
[ "$status" = 1 ] && grep -q 'not all output could be written' "$work/err" || fail "a full disk behind stdout goes unnoticed ($status)"

note "coordinator, submission, no workers"
daemon "$work/coordinator.log" "$TRIAD_BIN/triad" coordinator start --state "$state"
coordinator=${pids[-1]}
wait_for 60 triad coordinator info
for role in client worker; do
    [ "$(stat -c %a "$state/$role.access")" = 600 ] || fail "$role.access can be read by others"
done
limit_s=60 expect_status 9 triad coordinator start
expect_status 0 triad submit "$manifest" --dry-run
expect_status 4 triad report tiny
expect_status 0 triad submit "$manifest"
expect_status 0 triad job list --output json
said NoWorkers
expect_status 7 triad watch tiny --timeout 1s
expect_status 0 triad report tiny --format csv
said missing

note "a worker comes"
daemon "$work/w1.log" "$TRIAD_BIN/triad" worker start --name w1 --threads 2
worker=${pids[-1]}
expect_status 0 triad watch tiny --timeout 200s
expect_status 0 triad status tiny --output json
[ "$(field "$work/out" done)" = 9 ] || { cat "$work/out"; fail "not 9 jobs done"; }
expect_status 0 triad submit "$manifest" --wait --output csv
said '^tiny,0,9,0,0$'
expect_status 0 triad report tiny --format csv
[ "$(wc -l <"$work/out")" -gt 4 ] || { cat "$work/out"; fail "the report is empty"; }
grep -q missing "$work/out" && fail "something is missing in the report"
for format in text markdown json latex; do expect_status 0 triad report tiny --format $format; done
expect_status 0 triad job show toy/PT --output json
expect_status 0 triad job logs toy/PT
expect_status 4 triad job show toy/NOPE
expect_status 4 triad report nope
expect_status 4 triad watch nope --timeout 10s
expect_status 0 triad metrics export toy/PT
said loss_nats
expect_status 0 triad records export tiny --format jsonl
[ "$(wc -l <"$work/out")" = 3888 ] || fail "not 3 · 24 · (40 + 14) records: $(wc -l <"$work/out")"
cp "$work/out" "$work/lines"
expect_status 0 triad records export tiny --output json
sed -e '1s/.*//' -e '/^]}$/d' -e 's/,$//' "$work/out" | sed 1d >"$work/elements"
same "$work/elements" "$work/lines"
expect_status 3 triad records export tiny --output json --format csv
expect_status 3 triad status --output xml

note "cancel and retry"
sed 's/^experiment: tiny/experiment: other/; s/tokens: 60k/tokens: 5000k/' "$manifest" >"$work/other.yaml"
expect_status 0 triad submit "$work/other.yaml"
expect_status 3 triad job show toy/PT # one of each experiment
said 'with --experiment NAME: .toy/PT. means 2 jobs'
expect_status 0 triad job show toy/PT --experiment other --output json
[ "$(field "$work/out" state | head -n 1)" != done ] || fail "the job of another experiment is shown"
expect_status 0 triad job cancel --experiment other --reason "not today"
said "^[79] jobs cancelled, counting"
expect_status 6 triad watch other --timeout 60s
expect_status 0 triad job list --experiment other --output csv
said 'not today'
expect_status 0 triad job retry --experiment other
expect_status 0 triad job cancel --experiment other
expect_status 6 triad watch other --timeout 60s

note "drain and stop"
expect_status 0 triad worker list --output csv
said w1
expect_status 4 triad worker drain nobody
expect_status 0 triad worker drain w1
wait_for 60 has_ended "$worker"
expect_status 0 triad coordinator info --output json
expect_status 0 triad coordinator stop
wait_for 60 has_ended "$coordinator"
expect_status 5 triad watch tiny

note "what is wrong is said"
printf 'experiment: x\nfamiles: {}\n' >"$work/bad.yaml"
expect_status 3 triad plan "$work/bad.yaml"
said "bad.yaml:2:1: .*did you mean 'families'"
expect_status 2 triad statsu
said "did you mean 'status'"
expect_status 4 triad plan "$work/no-such-file.yaml"
