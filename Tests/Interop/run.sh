#!/usr/bin/env bash
# Opens what Lathe writes in diffusers, PEFT and LyCORIS, and compares the fused weights with Lathe's own bake. Installs
# Python packages into a folder of their own, once; afterwards it takes a few minutes.
#
#   bash Tests/Interop/run.sh LATHE      the built program
#
# LATHE_INTEROP_PYTHON names another Python that has the packages of requirements.txt.
set -euo pipefail
lathe=$(realpath "$1")
cd "$(dirname "$0")/../.."
source Tests/prepare.sh
interop=$PWD/Tests/Interop
environment=$PWD/.build-interop
work=$(mktemp -d "${TMPDIR:-/tmp}/lathe-interop.XXXXXX")
trap 'rm -rf "$work"' EXIT

python=${LATHE_INTEROP_PYTHON:-$environment/bin/python}
if [ -z "${LATHE_INTEROP_PYTHON:-}" ] && ! cmp -s "$interop/requirements.txt" "$environment/requirements.txt"; then
  python3 -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
  python3 -m venv "$environment"
  "$environment/bin/pip" install -q "torch==2.13.0+cpu" || "$environment/bin/pip" install -q torch==2.13.0
  "$environment/bin/pip" install -q -r "$interop/requirements.txt"
  cp "$interop/requirements.txt" "$environment/requirements.txt"
fi
PYTHONWARNINGS=ignore HF_HUB_OFFLINE=1 "$python" "$interop/interop.py" "$lathe" "$work"
