#!/usr/bin/env bash
# Audits a queue of uploads in several processes on one machine, with GNU parallel.
#
#   bash Examples/Batch/parallel.sh [FOLDER [OPTIONS of lathe audit]]      LATHE=PROGRAM takes that one instead of building it
#
# FOLDER gets the manifest and the audits. Run it again and only what has changed is audited. Without options: pictures of
# four prompts in few steps. Exit code: 1 when an audit fails, else 2 when a row could not be audited, else 0.
set -euo pipefail
folder=${1:-}
shift $(($# > 0 ? 1 : 0))
options=("$@")
source "$(dirname "$0")/prepare.sh"
prepare "$folder" parallel
[ ${#options[@]} -gt 0 ] || options=(--prompts "$prompts" --strengths 1 --steps 4 --cfg 4)

shards=4
audit=("$LATHE" audit "$model" --manifest "$work/pairs.csv" "${options[@]}" -o "$work/audits" --quiet)
# A shard's exit code tells of its rows only; collecting tells of all, and names rows that a shard has not reached.
parallel --will-cite --jobs "$(nproc)" "${audit[@]@Q}" --threads 1 --shard "{}/$shards" ::: $(seq $shards) || true
echo
"${audit[@]}" --collect || code=$?
echo "results.csv and index.md are in $work/audits"
exit "${code:-0}"
