#!/usr/bin/env bash
# A Slurm of this one machine, for trying job arrays out. Sourced by slurm.sh after prepare.sh.
#
# start_cluster: installs Debian's packages, starts the daemons as this user, and sets SLURM_CONF. They are stopped, and
# their state is removed, when the script ends.
start_cluster() {
  install_packages slurmctld slurmd slurm-client munge >/dev/null
  state=$(mktemp -d "${TMPDIR:-/tmp}/lathe-slurm.XXXXXX")
  daemons=()
  deadline=$((SECONDS + 60))
  trap stop_cluster EXIT
  mkdir "$state/controller" "$state/node"
  # Daemons of other users look into the socket's folder.
  chmod 711 "$state"
  (umask 077 && head -c 128 /dev/urandom >"$state/munge.key")
  local host processors
  host=$(hostname -s) processors=$(nproc)
  cat >"$state/slurm.conf" <<CONFIGURATION
ClusterName=lathe
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
SlurmctldPort=$(free_port 21000)
SlurmdPort=$(free_port 31000)
AuthType=auth/munge
AuthInfo=socket=$state/munge.socket
StateSaveLocation=$state/controller
SlurmdSpoolDir=$state/node
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$processors
PartitionName=all Nodes=$host Default=YES
CONFIGURATION
  export SLURM_CONF=$state/slurm.conf
  munged --foreground --force --key-file="$state/munge.key" --socket="$state/munge.socket" \
    --pid-file="$state/munge.pid" --seed-file="$state/munge.seed" --log-file="$state/munge.log" 2>/dev/null &
  daemons+=($!)
  until [ -S "$state/munge.socket" ]; do still_running && sleep 0.1; done
  slurmctld -D >/dev/null 2>&1 &
  daemons+=($!)
  slurmd -D -N "$host" >/dev/null 2>&1 &
  daemons+=($!)
  until sinfo --noheader --format=%t 2>/dev/null | grep -q '^\(idle\|mix\)'; do still_running && sleep 0.2; done
  echo "a Slurm of $host with $processors processors"
}

# Fails with the logs when a daemon has ended, or after a minute.
still_running() {
  local daemon
  for daemon in "${daemons[@]}"; do
    [ $SECONDS -lt "$deadline" ] && kill -0 "$daemon" 2>/dev/null && continue
    echo "Slurm could not be started:" >&2
    tail -n 5 "$state"/*.log >&2
    exit 69
  done
}

# free_port FIRST: the first port from there on that nobody listens to.
free_port() {
  local port=$1
  while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}

stop_cluster() {
  local place
  # What still runs belongs to this script, which is being stopped.
  [ -z "$(squeue --noheader 2>/dev/null)" ] || { scancel --user="$(id -un)" && sleep 2; }
  # The last started first: a node's daemon says good-bye to the controller.
  for ((place = ${#daemons[@]} - 1; place >= 0; place--)); do
    if kill "${daemons[place]}" 2>/dev/null; then wait "${daemons[place]}" || true; fi
  done
  rm -rf "$state"
}
