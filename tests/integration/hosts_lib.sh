# Hosts of our own: network namespaces, each with its own name, addresses and sockets, plugged into one switch (a bridge).
# A test sources this before lib.sh and calls own_world first.
# shellcheck shell=bash

# own_world [ARGUMENT…]: the test begins anew in namespaces of its own, where it may make hosts; what it started ends with it.
own_world() {
    [ -z "${TRIAD_TEST_WORLD:-}" ] || return 0
    local as_root=(--user --map-root-user)
    [ "$(id -u)" != 0 ] || as_root=()
    unshare "${as_root[@]}" --mount --net --uts sh -c 'ip tuntap add mode tun name probe && ip link add one type veth peer name two &&
        ip link add switch type bridge && mount -t tmpfs tmpfs /mnt' >/dev/null 2>&1 ||
        { echo "SKIP: neither as root nor in a user namespace may hosts, bridges and TUN devices be made here"; exit 77; }
    TRIAD_TEST_WORLD=private exec unshare "${as_root[@]}" --mount --net --uts --pid --fork --kill-child --mount-proc "$0" "$@"
}

# make_world: after lib.sh, once.
make_world() {
    ip link set lo up
    mount -t tmpfs tmpfs /run
    mkdir -p /run/netns
    echo "127.0.0.1 localhost" >"$work/hosts"
    mount --bind "$work/hosts" /etc/hosts
}

# make_host NAME: a host without a network.
make_host() {
    ip netns add "$1"
    ip -n "$1" link set lo up
}

# The test itself, with what a person types, sits at the switch.
make_switch() {
    ip link add switch type bridge
    ip addr add 10.79.0.254/24 dev switch
    ip link set switch up
}

# plug_host NAME ADDRESS: make it, known to all others by its name; the address is one of 10.79.0.0/24.
plug_host() {
    ip link show switch >/dev/null 2>&1 || make_switch
    make_host "$1"
    ip link add "to-$1" type veth peer name wire netns "$1"
    ip link set "to-$1" master switch up
    ip -n "$1" addr add "$2/24" dev wire
    ip -n "$1" link set wire up
    echo "$2 $1" >>"$work/hosts"
}

# on HOST COMMAND…: there, under its name. (What `ip netns exec` would do besides, a new /sys, slurmd does not survive.)
# shellcheck disable=SC2016
there=(unshare --uts sh -c 'hostname "$0" && exec "$@"')
on() {
    local host=$1
    shift
    nsenter --net="/run/netns/$host" "${there[@]}" "$host" "$@"
}

# daemon_on HOST LOG PROGRAM…: as daemon(), there; the process is the program's own.
daemon_on() {
    local host=$1 log=$2
    shift 2
    daemon "$log" nsenter --net="/run/netns/$host" "${there[@]}" "$host" "$@"
}

# host_of PID: the name of the host it runs on.
host_of() { ip netns identify "$1"; }

# start_coordinator_on HOST STATE [OPTION…]: as start_coordinator(), for workers of all hosts.
start_coordinator_on() {
    local host=$1 state=$2
    shift 2
    mkdir -p "$state"
    triad keys init --state "$state" 2>/dev/null
    daemon_on "$host" "$work/coordinator.log" "$TRIAD_BIN/triad-coordinator" --state "$state" --keys "$state/keys" \
        --listen 0.0.0.0 --advertise "$host" "$@"
    coordinator=${pids[-1]}
    wait_for 60 triad coordinator info --state "$state"
}
