#!/usr/bin/env bash
# Builds Lathe and shows its main job: what is in an adapter, how small it can get, what two of them make together.
#
#   bash Examples/quickstart.sh                                    on two small adapters made here
#   bash Examples/quickstart.sh style.safetensors [other.safetensors]   on your own
set -euo pipefail
files=()
for file in "$@"; do files+=("$(realpath "$file")"); done
cd "$(dirname "$0")/.."
source Tests/prepare.sh
require_swift
install_libraries
swift build -c release --product lathe
bin=$(swift build -c release --show-bin-path)
out=$(mktemp -d "${TMPDIR:-/tmp}/lathe-quickstart.XXXXXX")

if [ ${#files[@]} -eq 0 ]; then
  swift build -c release --product make-adapter
  "$bin/make-adapter" "$out/style.safetensors" 1
  "$bin/make-adapter" "$out/character.safetensors" 2
  files=(style.safetensors character.safetensors)
fi
cd "$out"

run() {
  printf '\n\033[1m$ lathe %s\033[0m\n' "$*"
  "$bin/lathe" "$@"
}

run inspect --norms "${files[0]}"
run spectrum "${files[0]}"
run resize "${files[0]}" --curve --svg curve.svg
half=$(($(stat -c %s "${files[0]}") / 2))
run resize "${files[0]}" -o half.safetensors --size "$half"
run compare "${files[0]}" half.safetensors
if [ ${#files[@]} -ge 2 ]; then
  run compare --all "${files[@]}"
  run merge "${files[0]}@0.8" "${files[1]}@0.6" -o both.safetensors
fi
printf '\nEverything is in %s: the adapters, and curve.svg to look at.\n' "$out"
