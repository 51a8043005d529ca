#!/usr/bin/env bash
# Runs the examples of many audits, with GNU parallel and with Slurm, and looks at what came out. Installs Debian's packages.
#
#   bash Tests/batch.sh LATHE      the built program
set -euo pipefail
LATHE=$(realpath "$1")
export LATHE
cd "$(dirname "$0")/.."
source Tests/prepare.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/lathe-batch.XXXXXX")
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work/caches"
bash Examples/Batch/toybox.sh "$work"

fail() { echo "$1" >&2 && cat "$work/log" >&2 && exit 1; }

# run SCRIPT OPTIONS...: it must end with 1, because most twentieths fail.
run() {
  local script=$1 code=0
  shift
  bash "Examples/Batch/$script" "$work" "$@" >"$work/log" 2>&1 || code=$?
  [ $code -eq 1 ] || fail "$script: expected exit code 1, found $code"
}

# expect FILE COUNT PATTERN: so many lines.
expect() {
  local found
  found=$(grep -c "$3" "$1" || true)
  [ "$found" -eq "$2" ] || fail "$1: $3: expected $2 lines, found $found"
}

look() {
  expect "$work/audits/results.csv" 7 '^[a-z0-9-]*-2,[a-z ]*,true,'
  expect "$work/audits/results.csv" 6 '^[a-z0-9-]*-20,different,false,'
  expect "$work/audits/results.csv" 1 '^cut-off,,,.*expected'
  expect "$work/audits/index.md" 14 '](.*/report\.'
}

run parallel.sh --weights-only
look
cut -d , -f 1-13 "$work/audits/results.csv" >"$work/parallel.csv"

# Another number of processes goes on with what is there; Slurm begins anew.
run parallel.sh --weights-only
expect "$work/log" 14 ', resumed$'
rm -rf "$work/audits"
run slurm.sh --weights-only
look
cut -d , -f 1-13 "$work/audits/results.csv" | cmp - "$work/parallel.csv" || fail "parallel and Slurm: expected the same, found others"

# With pictures, of one upload.
sed -i '/^name,\|^lumi-2,/!d' "$work/pairs.csv"
code=0
bash Examples/Batch/parallel.sh "$work" --prompt "a lumi owl" --strengths 1 --steps 2 >"$work/log" 2>&1 || code=$?
[ $code -le 1 ] || fail "pictures: expected exit code 0 or 1, found $code"
[ -e "$work/audits/lumi-2/pictures/01-before.png" ] || fail "pictures: expected some, found none"

python3 -c 'import yaml' 2>/dev/null || install_packages python3-yaml
python3 - Examples/Batch/kubernetes.yaml <<'PYTHON'
import sys, yaml

audit, collect = yaml.safe_load_all(open(sys.argv[1]))
assert audit["kind"] == collect["kind"] == "Job"
assert audit["spec"]["completionMode"] == "Indexed"
script = audit["spec"]["template"]["spec"]["containers"][0]["args"][0]
assert f'$((JOB_COMPLETION_INDEX + 1))/{audit["spec"]["completions"]}"' in script
PYTHON
echo "many audits work with GNU parallel and Slurm"
