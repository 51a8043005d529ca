#!/usr/bin/env bash
# Kills the program, lets its system calls fail and changes its inputs, in quantity, and looks at what is left.
#
#   bash Tests/Interruptions/run.sh LATHE [--short] [OPTION...]     options of interruptions.py; --short: a small share
set -euo pipefail
lathe=$(realpath "$1")
shift
cd "$(dirname "$0")/../.."
source Tests/prepare.sh
command -v python3 >/dev/null 2>&1 || install_packages python3
command -v strace >/dev/null 2>&1 || install_packages strace
work=$(mktemp -d "${TMPDIR:-/tmp}/lathe-interruptions.XXXXXX")
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work/caches"
if [ "${1:-}" = --short ]; then
  shift
  set -- --kills 42 --faults 42 --changes 16 "$@"
fi
export PYTHONDONTWRITEBYTECODE=1
python3 Tests/Interruptions/interruptions.py "$lathe" "$work" "$@"
