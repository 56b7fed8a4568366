# A Slurm of our own, on loopback, for the tests that need a real one. Sourced after lib.sh.
# shellcheck shell=bash
for program in slurmctld slurmd munged sbatch; do
    command -v "$program" >/dev/null || skip "there is no $program here (Debian: slurm-wlm, munge)"
done
[ "$(id -u)" = 0 ] || skip "slurmd needs root"

# start_slurm CPUS [LINE…]: one node of so many processors, whatever this machine has, and further lines of slurm.conf.
start_slurm() {
    local cores=$1 host
    shift
    note "a Slurm of our own, on loopback"
    slurm=$work/slurm
    mkdir -p "$slurm"/{state,spool,log}
    chmod 755 "$work" "$slurm"
    host=$(hostname -s)
    cat >"$slurm/slurm.conf" <<CONF
ClusterName=triadtest
SlurmctldHost=$host(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket=$slurm/munge.sock
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool
SlurmctldPidFile=$slurm/ctld.pid
SlurmdPidFile=$slurm/slurmd.pid
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
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cores RealMemory=2000 State=UNKNOWN
$(printf '%s\n' "$@")
PartitionName=ci Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    export SLURM_CONF=$slurm/slurm.conf
    (umask 077 && head -c 1024 /dev/urandom >"$slurm/munge.key")
    daemon "$slurm/munged.log" munged --foreground --key-file="$slurm/munge.key" --socket="$slurm/munge.sock" \
        --pid-file="$slurm/munge.pid" --log-file="$slurm/munge.out" --seed-file="$slurm/munge.seed" --force
    wait_for 60 test -S "$slurm/munge.sock"
    daemon "$slurm/ctld.log" slurmctld -D -c
    daemon "$slurm/slurmd.log" slurmd -D
    node_is_idle() { sinfo -h -o %T | grep -q idle; }
    wait_for 60 node_is_idle
}
