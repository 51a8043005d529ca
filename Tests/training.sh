#!/usr/bin/env bash
# Runs the whole training of the example model for a few steps each, and renders what came of it: the scripts work, and
# from nothing. Installs Python packages into a folder of their own.
#
#   bash Tests/training.sh LATHE      the built program
set -euo pipefail
lathe=$(realpath "$1")
cd "$(dirname "$0")/.."
source Tests/prepare.sh
training=$PWD/Examples/Toybox/training
environment=$PWD/.build-training
work=$(mktemp -d "${TMPDIR:-/tmp}/lathe-training.XXXXXX")
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work/caches"

if [ ! -x "$environment/bin/python" ] || ! cmp -s "$training/requirements.txt" "$environment/requirements.txt"; then
  python3 -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
  python3 -m venv "$environment"
  "$environment/bin/pip" install -q "torch==2.13.0+cpu" || "$environment/bin/pip" install -q torch==2.13.0
  "$environment/bin/pip" install -q -r "$training/requirements.txt"
  cp "$training/requirements.txt" "$environment/requirements.txt"
fi
run() {
  PYTHONWARNINGS=ignore "$environment/bin/python" "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2 && exit 1; }
}

cd "$training"
run train_autoencoder.py "$work" --steps 2 --finish 1 --pictures 32
run train_base.py "$work" --steps 2 --scenes 64 --batch 4
# Taken up again where it stopped, and further.
run train_base.py "$work" --steps 3 --scenes 64 --batch 4
grep -q 'taken up again at step 2' "$work/log"
run train_adapters.py "$work" --steps 2 --scenes 8 --batch 2
run evaluate.py "$work" --count 8 --steps 2 --classifier-steps 2 --sheet "$work/sheet.png"

for adapter in sketch.safetensors popart.safetensors glitter.safetensors neon blueprint.safetensors sepia-r64.safetensors \
  lumi.safetensors; do
  "$lathe" check "$work/adapters/$adapter" "$work/toybox" >/dev/null
done
"$lathe" inspect "$work/adapters/fireflies.safetensors" >/dev/null
"$lathe" render "$work/toybox" "$work/adapters/lumi.safetensors" --prompt "a lumi owl" --steps 2 --quiet \
  -o "$work/owl.png" >/dev/null
echo "the training of the example model works from nothing"
