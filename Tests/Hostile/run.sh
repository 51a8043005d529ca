#!/usr/bin/env bash
# Makes hostile and broken files in a temporary folder and looks at how the program takes them.
#
#   bash Tests/Hostile/run.sh LATHE [SEED]
set -euo pipefail
lathe=$(realpath "$1")
cd "$(dirname "$0")/../.."
source Tests/prepare.sh
command -v python3 >/dev/null 2>&1 || install_packages python3
work=$(mktemp -d "${TMPDIR:-/tmp}/lathe-hostile.XXXXXX")
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work/caches"
export PYTHONDONTWRITEBYTECODE=1 SWIFT_BACKTRACE=enable=no
python3 Tests/Hostile/make.py "$work" "${@:2}"
python3 Tests/Hostile/verify.py "$lathe" "$work"
