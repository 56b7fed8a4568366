# A Slurm of our own for the tests that need a real one. Sourced after lib.sh.
# shellcheck shell=bash
for program in slurmctld slurmd munged sbatch; do
    command -v "$program" >/dev/null || skip "there is no $program here (Debian: slurm-wlm, munge)"
done
[ "$(id -u)" = 0 ] || skip "slurmd needs root"

# slurm_conf HEAD ADDRESS LINE…: the controller's host, and the lines that name nodes and more.
slurm_conf() {
    local head=$1 address=$2
    shift 2
    slurm=$work/slurm
    mkdir -p "$slurm"/{state,spool}
    chmod 755 "$work" "$slurm"
    cat >"$slurm/slurm.conf" <<CONF
ClusterName=triadtest
SlurmctldHost=$head($address)
AuthType=auth/munge
AuthInfo=socket=$slurm/munge.sock
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool/%n
SlurmctldPidFile=$slurm/ctld.pid
SlurmdPidFile=$slurm/slurmd-%n.pid
SlurmctldPort=16827
SlurmdPort=16828
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SwitchType=switch/none
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=5
$(printf '%s\n' "$@")
PartitionName=ci Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    export SLURM_CONF=$slurm/slurm.conf
}

start_munge() {
    (umask 077 && head -c 1024 /dev/urandom >"$slurm/munge.key")
    daemon "$slurm/munged.log" munged --foreground --key-file="$slurm/munge.key" --socket="$slurm/munge.sock" \
        --pid-file="$slurm/munge.pid" --log-file="$slurm/munge.out" --seed-file="$slurm/munge.seed" --force
    wait_for 60 test -S "$slurm/munge.sock"
}

idle_nodes() { [ "$(sinfo -h -N -t idle -o %N | sort -u | wc -l)" = "$1" ]; }

# start_slurm CPUS [LINE…]: one node of so many processors on loopback, whatever this machine has, and further lines
# of slurm.conf.
start_slurm() {
    local cores=$1 host
    shift
    note "a Slurm of our own, on loopback"
    host=$(hostname -s)
    slurm_conf "$host" 127.0.0.1 "NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=2000 State=UNKNOWN" "$@"
    start_munge
    daemon "$slurm/ctld.log" slurmctld -D -c
    daemon "$slurm/slurmd.log" slurmd -D
    wait_for 60 idle_nodes 1
}

# start_slurm_on_hosts CPUS [LINE…]: the controller on a host "head", and nodes "n1" and "n2" of so many processors, each a
# host with its own name, address, /tmp and shared memory. They share the test's folder, but do not see those in
# ${unseen[n1]} and ${unseen[n2]}.
# hosts_lib.sh must be loaded.
declare -A unseen=()
start_slurm_on_hosts() {
    local cores=$1 node
    shift
    note "a Slurm of our own, on three hosts"
    plug_host head 10.79.0.1
    plug_host n1 10.79.0.11
    plug_host n2 10.79.0.12
    slurm_conf head 10.79.0.1 "NodeName=n1 NodeAddr=10.79.0.11 CPUs=$cores RealMemory=2000 State=UNKNOWN" \
        "NodeName=n2 NodeAddr=10.79.0.12 CPUs=$cores RealMemory=2000 State=UNKNOWN" "$@"
    start_munge
    cat >"$work/node" <<'SH'
#!/bin/sh
# node WORK UNSEEN COMMAND…: in a mount namespace of its own.
set -e
work=$1 unseen=$2
shift 2
mount --bind "$work" /mnt
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /dev/shm
chmod 1777 /tmp /dev/shm
mkdir -p "$work"
mount --move /mnt "$work"
[ -z "$unseen" ] || mount -t tmpfs tmpfs "$unseen"
exec "$@"
SH
    chmod +x "$work/node"
    daemon_on head "$slurm/ctld.log" slurmctld -D -c
    for node in n1 n2; do
        daemon_on $node "$slurm/slurmd-$node.log" unshare --mount "$work/node" "$work" \
            "${unseen[$node]:-}" slurmd -D -N $node
    done
    wait_for 60 idle_nodes 2
}
