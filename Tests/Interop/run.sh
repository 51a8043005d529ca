#!/usr/bin/env bash
# Bakes what PEFT saved for language models, and compares it with PEFT's own merges; then opens what Lathe writes in diffusers, PEFT and
# LyCORIS, and compares the fused weights with Lathe's own bake; then bakes into what comfy-kitchen, bitsandbytes and gguf have
# quantised, and lets them read the result. Installs Python packages into a folder of their own, once; afterwards it takes a few
# minutes.
#
#   bash Tests/Interop/run.sh LATHE      the built program
#
# LATHE_INTEROP_PYTHON names another Python that has the packages of requirements.txt.
set -euo pipefail
lathe=$(realpath "$1")
cd "$(dirname "$0")/../.."
source Tests/prepare.sh
prepare_interop_python
work=$(mktemp -d "${TMPDIR:-/tmp}/lathe-interop.XXXXXX")
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work/caches"

export PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore HF_HUB_OFFLINE=1
"$python" Tests/Interop/language_models.py "$lathe" "$work"
"$python" Tests/Interop/interop.py "$lathe" "$work"
"$python" Tests/Interop/quantised.py "$lathe" "$work"
