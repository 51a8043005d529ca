#!/usr/bin/env bash
# How much longer a render takes where other programs want the processors too, against what its share of them explains.
#
#   bash Tests/Benchmarks/busy.sh LATHE [PROGRAMS]
set -euo pipefail
cd "$(dirname "$0")/../.."
lathe=$(realpath "$1") programs=${2:-12} runs=5
work=$(mktemp -d "${TMPDIR:-/tmp}/lathe-busy.XXXXXX")
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
export TIMEFORMAT='%R'

# median NAME: of the seconds that some renders take; every one must give the same picture.
median() {
  for run in $(seq "$runs"); do
    { time "$lathe" render Examples/Toybox/model --prompt "a red robot" --steps 12 --size 128x128 --seed 1 \
      -o "$work/$1-$run.png" --quiet >/dev/null 2>&1; } 2>>"$work/$1"
    cmp "$work/$1-$run.png" "$work/idle-1.png"
  done
  sort -n "$work/$1" | sed -n "$(((runs + 1) / 2))p"
}

idle=$(median idle)
for _ in $(seq "$programs"); do (while :; do :; done) & done
busy=$(median busy)
awk -v idle="$idle" -v busy="$busy" -v programs="$programs" -v cores="$(nproc)" 'BEGIN {
  # As many threads as cores, beside the programs.
  share = cores / (cores + programs)
  printf "idle %.2f s, beside %d programs on %d cores %.2f s: %.2f times what the share of %.0f %% explains\n",
    idle, programs, cores, busy, busy * share / idle, 100 * share
}'
