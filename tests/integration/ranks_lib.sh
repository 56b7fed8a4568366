# What the tests of trainings on several ranks have in common. Sourced after lib.sh.
# shellcheck shell=bash

# The job of the test that is shared by ranks, and all whose outputs are compared; set by the test.
job=
jobs=()

# outputs STATE: weights, optimizer, steps and curves, as text.
outputs() {
    local each
    triad job list --experiment ranks --state "$1" --output csv 2>/dev/null | cut -d, -f2,18,19 | sort
    for each in "${jobs[@]}"; do
        triad job show "$each" --state "$1" --output json 2>/dev/null >"$work/show"
        field "$work/show" resume_step
        field "$work/show" resume
        triad curves "$each" --state "$1" --output csv 2>/dev/null | cut -d, -f2,5,6,7
    done
}

# use_mpi openmpi|mpich: launchers and library of that MPI, as a site that has nothing else.
use_mpi() {
    command -v "mpiexec.$1" >/dev/null || skip "there is no mpiexec.$1 here (Debian: openmpi-bin, mpich)"
    command -v "mpicc.$1" >/dev/null || skip "there is no mpicc.$1 here (Debian: libopenmpi-dev, libmpich-dev)"
    mkdir "$work/mpi"
    # No link: MPICH's looks for its helper beside itself.
    printf '#!/bin/sh\nexec mpiexec.%s "$@"\n' "$1" >"$work/mpi/mpiexec"
    chmod +x "$work/mpi/mpiexec"
    "mpicc.$1" -O2 -Wall -Wextra -Werror -shared -fPIC -o "$work/mpi/triad-mpi.so" "$TRIAD_SOURCE/worker/mpi/triad-mpi.c"
    export PATH=$work/mpi:$PATH TRIAD_MPI=$work/mpi/triad-mpi.so
    "$TRIAD_BIN/triad-worker" ranks >"$work/ranks" || skip "$(cat "$work/ranks")"
    cat "$work/ranks"
}

ranks_alive() { pgrep -f "^[^ ]*/triad-worker rank --folder $work/" || true; }
ranks_are() { [ "$(ranks_alive | wc -l)" = "$1" ]; }
no_ranks() { ranks_are 0; }
# past_step STEP RANKS: a checkpoint beyond it is there, and so many are at work.
past_step() { show "$job" && [ "$(field "$work/show" resume_step)" -gt "$1" ] && ranks_are "$2"; }
epoch() { show "$job" && field "$work/show" epoch | sort -n | tail -n 1; }
epoch_above() { [ "$(epoch)" -gt "$1" ]; }
names_signal() { grep -q "signal $1" "$work/show" || { cat "$work/show"; fail "nobody says what a rank died of"; }; }
