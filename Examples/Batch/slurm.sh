#!/usr/bin/env bash
# Audits a queue of uploads as a Slurm job array, and waits for it.
#
#   bash Examples/Batch/slurm.sh [FOLDER [OPTIONS of lathe audit]]         LATHE=PROGRAM takes that one instead of building it
#
# Where a Slurm answers, the array goes there. Where none does, Debian's packages are installed and a cluster of this one
# machine runs for as long as the script does, its state in a temporary folder. FOLDER, OPTIONS and the exit code as in
# parallel.sh.
set -euo pipefail
folder=${1:-}
shift $(($# > 0 ? 1 : 0))
options=("$@")
source "$(dirname "$0")/prepare.sh"
prepare "$folder"
[ ${#options[@]} -gt 0 ] || options=(--prompts "$prompts" --strengths 1 --steps 4 --cfg 4)

if ! scontrol ping 2>/dev/null | grep -q 'is UP'; then
  if [ -n "${SLURM_CONF:-}" ] || [ -e /etc/slurm/slurm.conf ]; then
    echo "There is a Slurm (${SLURM_CONF:-/etc/slurm/slurm.conf}), and it does not answer. This example leaves it alone." >&2
    exit 69
  fi
  source "$repository/Examples/Batch/cluster.sh"
  start_cluster
fi

shards=4
audit=(audit "$model" --manifest "$work/pairs.csv" "${options[@]}" -o "$work/audits" --quiet)
# Tasks fail where an audit does; collecting tells of all rows, and names those that a task has not reached.
sbatch --wait --array=1-$shards --output="$work/slurm-%a.log" "$repository/Examples/Batch/array.sbatch" "${audit[@]:1}" || true
cat "$work"/slurm-[1-4].log
echo
"$LATHE" "${audit[@]}" --collect || code=$?
echo "results.csv and index.md are in $work/audits"
exit "${code:-0}"
