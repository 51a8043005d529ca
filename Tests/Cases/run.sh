#!/usr/bin/env bash
# Files and situations that once gave a wrong result, lost something or brought a program of this field down. Each case makes
# them anew, runs the program, and says whether what is right came of it. Prints a table; ends with 1 when a case fails.
#
#   bash Tests/Cases/run.sh LATHE [WORD...]      the built program; only cases whose file or title has one of the words
#
# LATHE_INTEROP_PYTHON names another Python that has the packages of Tests/Interop/requirements.txt.
set -euo pipefail
lathe=$(realpath "$1")
shift
cd "$(dirname "$0")/../.."
source Tests/prepare.sh
command -v strace >/dev/null 2>&1 || install_packages strace
prepare_interop_python
work=$(mktemp -d "${TMPDIR:-/tmp}/lathe-cases.XXXXXX")
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work/caches"
export PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore HF_HUB_OFFLINE=1 SWIFT_BACKTRACE=enable=no
"$python" Tests/Cases/cases.py "$lathe" "$work" "$@"
