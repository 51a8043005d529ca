#!/usr/bin/env bash
# How much longer a render takes where other programs want the processors too, and where a control group gives it a part of
# one only, against what its share of them explains. Control groups want the rights of root; without them only the first is measured.
#
#   bash Tests/Benchmarks/busy.sh LATHE [PROGRAMS]
set -euo pipefail
cd "$(dirname "$0")/../.."
lathe=$(realpath "$1") programs=${2:-12} runs=5
work=$(mktemp -d "${TMPDIR:-/tmp}/lathe-busy.XXXXXX")
group=
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"; [ -z "$group" ] || rmdir "$group"' EXIT
export TIMEFORMAT='%R %U %S'

# measure NAME [COMMAND...]: the median of the seconds that some renders take, begun by a command, and of those of the
# processor; every one must give the same picture.
measure() {
  local name=$1
  shift
  for run in $(seq "$runs"); do
    { time "$@" "$lathe" render Examples/Toybox/model --prompt "a red robot" --steps 12 --size 128x128 --seed 1 \
      -o "$work/$name-$run.png" --quiet >/dev/null 2>&1; } 2>>"$work/$name"
    cmp "$work/$name-$run.png" "$work/idle-1.png"
  done
  awk '{ print $1, $2 + $3 }' "$work/$name" | sort -n | sed -n "$(((runs + 1) / 2))p"
}

# make_group: a control group of processor time, by either generation of the kernel's interface.
make_group() {
  local name=lathe-busy-$$
  for root in /sys/fs/cgroup/cpu /sys/fs/cgroup; do
    mkdir "$root/$name" 2>/dev/null || continue
    group=$root/$name
    [ -e "$group/cpu.cfs_quota_us" ] || [ -e "$group/cpu.max" ] || { rmdir "$group" && group= && continue; }
    return 0
  done
  return 1
}

# limit SHARE: of one processor, in hundredths, in periods of a tenth of a second.
limit() {
  if [ -e "$group/cpu.max" ]; then
    echo "$(($1 * 1000)) 100000" >"$group/cpu.max"
  else
    echo 100000 >"$group/cpu.cfs_period_us"
    echo $(($1 * 1000)) >"$group/cpu.cfs_quota_us"
  fi
}

in_group() { (echo "$BASHPID" >"$group/cgroup.procs" && exec "$@"); }

read -r idle work_seconds <<<"$(measure idle)"
if make_group; then
  for share in 50 100 150; do
    limit "$share"
    read -r slowed _ <<<"$(measure "quota-$share" in_group)"
    awk -v idle="$idle" -v needs="$work_seconds" -v share="$share" -v slowed="$slowed" 'BEGIN {
      # What the work needs of processors, at the rate that it gets them, or what it takes alone.
      explained = needs * 100 / share
      if (explained < idle) explained = idle
      printf "idle %.2f s, with %d %% of a processor %.2f s: %.2f times what that explains\n", idle, share, slowed, slowed / explained
    }'
  done
fi
for _ in $(seq "$programs"); do (while :; do :; done) & done
read -r busy _ <<<"$(measure busy)"
awk -v idle="$idle" -v busy="$busy" -v programs="$programs" -v cores="$(nproc)" 'BEGIN {
  # As many threads as cores, beside the programs.
  share = cores / (cores + programs)
  printf "idle %.2f s, beside %d programs on %d cores %.2f s: %.2f times what the share of %.0f %% explains\n",
    idle, programs, cores, busy, busy * share / idle, 100 * share
}'
