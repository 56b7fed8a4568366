#!/usr/bin/env bash
# A benchmark of the coordinator that is interrupted leaves neither its folder nor a process behind.
. "$(dirname "$0")/lib.sh"
mkdir "$work/place"
for signal in TERM INT; do
    note "SIG$signal while jobs are submitted"
    # A shell's background children ignore SIGINT: env gives it its meaning back.
    env --default-signal=INT "$TRIAD_BIN/triad" bench dispatch --jobs 1000000 --dir "$work/place" \
        >"$work/bench.log" 2>&1 &
    pid=$!
    pids+=("$pid")
    for _ in $(seq 600); do
        [ -e "$(echo "$work"/place/triad-bench-*/intake/1)" ] && break
        sleep 0.05
    done
    [ -e "$(echo "$work"/place/triad-bench-*/intake/1)" ] || fail "nothing is submitted"
    kill -"$signal" "$pid"
    status=0
    wait "$pid" || status=$?
    [ "$status" = 130 ] || fail "exit status $status instead of 130"
    [ -z "$(ls "$work/place")" ] || fail "left: $(ls "$work/place")"
done
