# Sourced by the shell tests here: a fresh folder, the programs of one build, and an end that leaves nothing
# behind: no process, no file, however the test ends.
# shellcheck shell=bash
set -euo pipefail

TRIAD_BIN=${TRIAD_BIN:?set by ctest: the folder of the programs}
TRIAD_SOURCE=${TRIAD_SOURCE:?set by ctest: the source tree}
export TRIAD_BIN_DIR=$TRIAD_BIN
unset TRIAD_STATE TRIAD_DATA TRIAD_ACCESS TRIAD_EXPERIMENTS # a developer's own
manifest=$TRIAD_SOURCE/tests/integration/tiny.yaml
work=$(mktemp -d "${TMPDIR:-/tmp}/triad-test-XXXXXX")
pids=()
mounts=()

# left_over: processes whose working folder or command line lies in ours, a pid a line.
left_over() {
    local process
    for process in /proc/[0-9]*; do
        [ "${process#/proc/}" != $$ ] || continue
        case "$(readlink "$process/cwd" 2>/dev/null) $(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)" in
        *"$work/"*) echo "${process#/proc/}" ;;
        esac
    done 2>/dev/null
}

nothing_left_over() { [ -z "$(left_over)" ]; }

shell=$BASHPID
cleanup() {
    local status=$? pid
    # A child that is killed right after its fork, before it has become its program, comes here too.
    [ "$BASHPID" = "$shell" ] || exit "$status"
    trap '' INT TERM
    for pid in "${pids[@]}"; do kill -CONT "$pid" 2>/dev/null || true; kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do
        for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        kill -9 "$pid" 2>/dev/null || true
    done
    for _ in $(seq 50); do nothing_left_over && break; sleep 0.1; done
    for pid in $(left_over); do
        echo "FAILED: process $pid is left over: $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
        kill -9 "$pid" 2>/dev/null || true
        status=1
    done
    if [ "$status" != 0 ] && [ "$status" != 77 ]; then
        for log in "$work"/*.log "$work"/*/*.log; do
            [ -f "$log" ] && { echo "--- ${log#"$work"/} (end)"; tail -n 15 "$log"; }
        done
    fi
    for mount in "${mounts[@]}"; do umount -l "$mount" || status=1; done
    if [ -n "${TRIAD_TEST_KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

skip() { echo "SKIP: $*"; exit 77; }
fail() { echo "FAILED: $*"; exit 1; }
note() { echo "== $*"; }

triad() { timeout "${limit_s:-280}" "$TRIAD_BIN/triad" "$@"; }

# expect_status N COMMAND…: the command must end with exit status N; its output goes to $work/out, $work/err.
expect_status() {
    local wanted=$1 status=0
    shift
    "$@" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" = "$wanted" ] || { cat "$work/out" "$work/err"; fail "'$*' ended with $status, expected $wanted"; }
}

# said TEXT: the last command of expect_status wrote a line that matches.
said() { grep -qE -- "$1" "$work/out" "$work/err" || { cat "$work/out" "$work/err"; fail "nobody says '$1'"; }; }

same() { cmp "$1" "$2" || { diff "$1" "$2" >"$work/difference" || true; sed -n 1,5p "$work/difference"; fail "$1 and $2 differ"; }; }

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
    local limit=$1
    shift
    local deadline=$((SECONDS + limit))
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || fail "waited $limit s for: $*"
        sleep 0.05
    done
}

has_ended() { ! kill -0 "$1" 2>/dev/null; }

# calm MANIFEST: run it undisturbed; its report is then in $work/calm-report, its state in $work/calm.
calm() {
    note "undisturbed"
    triad run "$1" --state "$work/calm" --report-dir "$work/calm-report" >/dev/null 2>"$work/calm.log"
}

# same_report EXPERIMENT: the report of the state in use is that of calm(), to the byte.
same_report() {
    triad report "$1" --format csv >"$work/report.csv"
    same "$work/report.csv" "$work/calm-report/report.csv"
}

# daemon LOG PROGRAM…: in the background, killed by the kernel should this shell be killed.
daemon() {
    local log=$1
    shift
    setpriv --pdeathsig KILL "$@" >>"$log" 2>&1 &
    pids+=("$!")
}

# start_coordinator STATE [OPTION…]: its pid is in $coordinator.
start_coordinator() {
    local state=$1
    shift
    mkdir -p "$state"
    [ -d "$state/keys" ] || triad keys init --state "$state" 2>/dev/null
    daemon "$work/coordinator.log" "$TRIAD_BIN/triad-coordinator" --state "$state" --keys "$state/keys" "$@"
    coordinator=${pids[-1]}
    wait_for 60 triad coordinator info --state "$state"
}

# start_worker STATE NAME [OPTION…]: its pid is in $worker.
start_worker() {
    local state=$1 name=$2
    shift 2
    daemon "$work/$name.log" "$TRIAD_BIN/triad-worker" --access "$state/worker.access" \
        --dir "${worker_dir:-$state/workers/$name}" --name "$name" --grace 5 "$@"
    worker=${pids[-1]}
}

# kill_hard PID…: kill -9, and wait until it is gone.
kill_hard() {
    local pid
    kill -9 "$@"
    for pid in "$@"; do wait "$pid" 2>/dev/null || true; done
}

# field JSON-FILE NAME: the values of a key, one a line (flat search; enough for our own output).
field() { grep -oE "\"$2\": *(\"[^\"]*\"|[^,}]*)" "$1" | sed 's/^[^:]*: *//; s/^"//; s/"$//'; }

# show JOB: the job's document into $work/show.
show() { triad job show "$1" --output json >"$work/show"; }

# ---- the nine jobs of tiny.yaml under trouble ----
watch_in_background() {
    "$TRIAD_BIN/triad" watch tiny --timeout 200s >"$work/watch.log" 2>&1 &
    watcher=$!
    pids+=("$watcher")
}
done_jobs() { triad job list --output csv | grep ',done,' || true; }
some_done() { [ "$(done_jobs | wc -l)" -ge "$1" ]; }
# ends_as_usual: the watcher saw the end, the report is the undisturbed one, and what was done when the disk was
# found full is untouched.
ends_as_usual() {
    wait "$watcher" || fail "the watch ended with $?"
    same_report tiny
    done_jobs >"$work/after.csv"
    grep -Fxf "$work/before.csv" "$work/after.csv" >"$work/kept.csv" || true
    same "$work/before.csv" "$work/kept.csv"
    cut -d, -f4 "$work/after.csv" | grep -qvx done && fail "a job is not done"
    [ "$(wc -l <"$work/after.csv")" = 9 ] || fail "not 9 jobs are done"
}

status_says() { triad status >"$work/out" 2>&1; grep -q "$1" "$work/out"; }
