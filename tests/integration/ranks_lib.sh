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

# one_and_so_many_ranks N: the manifest with the families that are read, in one.yaml with one process for each training and in
# shared.yaml with N ranks.
one_and_so_many_ranks() {
    {
        printf 'experiment: ranks\nfamilies:\n'
        cat
        cat <<'YAML'
evaluate:
  - {suite: steerability, tasks: [urn_icl], max_sequences: 8}
resources: {train: {threads: 1, ranks: 1}}
retry: {backoff_seconds: 0.1}
YAML
    } >"$work/one.yaml"
    sed "s/ranks: 1}/ranks: $1}/" "$work/one.yaml" >"$work/shared.yaml"
}

# What one undisturbed process computes, and its table.
calm_outputs() {
    calm "$work/one.yaml"
    outputs "$work/calm" >"$work/calm.outputs"
}

# end_with_calm_outputs STATE: the coordinator, which holds what one process computes.
end_with_calm_outputs() {
    triad coordinator stop 2>/dev/null || true # that it ends is what counts
    wait_for 60 has_ended "$coordinator"
    outputs "$1" >"$work/shared.outputs"
    same "$work/calm.outputs" "$work/shared.outputs"
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
