# Sourced by the shell tests here: a fresh folder, the programs of one build, and cleaning up by pid.
# shellcheck shell=bash
set -euo pipefail

TRIAD_BIN=${TRIAD_BIN:?set by ctest: the folder of the programs}
TRIAD_SOURCE=${TRIAD_SOURCE:?set by ctest: the source tree}
export TRIAD_BIN_DIR=$TRIAD_BIN
work=$(mktemp -d "${TMPDIR:-/tmp}/triad-test-XXXXXX")
pids=()

cleanup() {
    local status=$? pid
    for pid in "${pids[@]}"; do kill -CONT "$pid" 2>/dev/null || true; kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do
        for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        kill -9 "$pid" 2>/dev/null || true
    done
    if [ "$status" != 0 ] && [ "$status" != 77 ]; then
        for log in "$work"/*.log "$work"/*/*.log; do
            [ -f "$log" ] && { echo "--- ${log#"$work"/} (end)"; tail -n 15 "$log"; }
        done
    fi
    rm -rf "$work"
    exit "$status"
}
trap cleanup EXIT

skip() { echo "SKIP: $*"; exit 77; }
fail() { echo "FAILED: $*"; exit 1; }
note() { echo "== $*"; }

triad() { "$TRIAD_BIN/triad" "$@"; }

# expect_status N COMMAND…: the command must end with exit status N; its output goes to $work/out, $work/err.
expect_status() {
    local wanted=$1 status=0
    shift
    "$@" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" = "$wanted" ] || { cat "$work/out" "$work/err"; fail "'$*' ended with $status, expected $wanted"; }
}

same() { cmp "$1" "$2" || { diff "$1" "$2" | head -n 5; fail "$1 and $2 differ"; }; }

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
    local limit=$1
    shift
    for _ in $(seq $((limit * 5))); do "$@" >/dev/null 2>&1 && return 0; sleep 0.2; done
    fail "waited $limit s for: $*"
}

# start_coordinator STATE [OPTION…]: in the background; its pid is in $coordinator.
start_coordinator() {
    local state=$1
    shift
    mkdir -p "$state"
    [ -d "$state/keys" ] || triad keys init --state "$state" 2>/dev/null
    rm -f "$state/ready"
    "$TRIAD_BIN/triad-coordinator" --state "$state" --keys "$state/keys" "$@" >>"$state/coordinator.log" 2>&1 &
    coordinator=$!
    pids+=("$coordinator")
    wait_for 20 triad coordinator info --state "$state"
}

# start_worker STATE NAME [OPTION…]: in the background; its pid is in $worker.
start_worker() {
    local state=$1 name=$2
    shift 2
    "$TRIAD_BIN/triad-worker" --access "$state/worker.access" --dir "$state/workers/$name" --name "$name" \
        "$@" >>"$state/$name.log" 2>&1 &
    worker=$!
    pids+=("$worker")
}

# field JSON-FILE NAME: the values of a key, one a line (flat search; enough for our own output).
field() { grep -oE "\"$2\": *(\"[^\"]*\"|[^,}]*)" "$1" | sed 's/^[^:]*: *//; s/^"//; s/"$//'; }
