#!/usr/bin/env bash
# Builds Lathe and shows its main job on Toybox, the example model: what is in an adapter, how small it can get, what
# three of them make together, and what the pictures say to it.
#
#   bash Examples/quickstart.sh                                    on Toybox
#   bash Examples/quickstart.sh style.safetensors [other.safetensors]   on your own adapters, without pictures
set -euo pipefail
files=()
for file in "$@"; do files+=("$(realpath "$file")"); done
cd "$(dirname "$0")/.."
source Tests/prepare.sh
require_swift
install_libraries
swift build -c release --product lathe
bin=$(swift build -c release --show-bin-path)
toybox=$PWD/Examples/Toybox
out=$(mktemp -d "${TMPDIR:-/tmp}/lathe-quickstart.XXXXXX")
cd "$out"

run() {
  printf '\n\033[1m$ lathe %s\033[0m\n' "$*"
  "$bin/lathe" "$@"
}

say() { printf '\n%s\n' "$*"; }

if [ ${#files[@]} -gt 0 ]; then
  run inspect --norms "${files[0]}"
  run spectrum "${files[0]}"
  run resize "${files[0]}" --curve --svg curve.svg
  run resize "${files[0]}" -o half.safetensors --size "$(($(stat -c %s "${files[0]}") / 2))"
  run compare "${files[0]}" half.safetensors
  if [ ${#files[@]} -ge 2 ]; then
    run compare --all "${files[@]}"
    run merge "${files[0]}@0.8" "${files[1]}@0.6" -o both.safetensors
  fi
  say "Everything is in $out: the adapters, and curve.svg to look at."
  exit
fi

ln -s "$toybox" Toybox
sepia=Toybox/adapters/sepia-r64.safetensors

run inspect $sepia
run spectrum $sepia
say "This adapter was trained with rank 64, and nearly all of its energy is in a few directions: the ranks that keep" \
  "95 or 99 % of it are much smaller. So most of the file can go."

run resize $sepia -o sepia-small.safetensors --size "$(($(stat -c %s $sepia) / 10))"
say "The relative error is what was lost of the adapter's effect on the weights, measured on the file just written; the" \
  "lower bound says that no other choice of ranks would have done better at this size."

run compare $sepia sepia-small.safetensors --base Toybox/model --probe --prompt "a red robot on the beach" --probe-size 128x128
say "The probe asks the UNet itself: how much its predictions differ with the small adapter instead of the large one."

run merge Toybox/adapters/lumi.safetensors@1 Toybox/adapters/glitter.safetensors@0.6 Toybox/adapters/popart.safetensors@0.4 \
  -o trio.safetensors
say "One adapter that does exactly what the three do together, at these strengths. They came in two formats and three ranks."

run bake Toybox/model trio.safetensors -o toybox-trio
say "The same, added to the model's own weights: no adapter to load any more. Survival says how much of the adapters'" \
  "effect is left after rounding to the 16 bits of the model's numbers."

pictures=(--prompts Toybox/prompts.txt --steps 16 --cfg 4 --sampler dpm++2m --seed 7 --sheet-only --quiet)
run render Toybox/model $sepia --sweep 0,0.5,1 "${pictures[@]}" -o 1-sepia.png
run render Toybox/model sepia-small.safetensors --sweep 0,0.5,1 "${pictures[@]}" -o 2-sepia-small.png
run render Toybox/model Toybox/adapters/lumi.safetensors@1 Toybox/adapters/glitter.safetensors@0.6 \
  Toybox/adapters/popart.safetensors@0.4 --grid "${pictures[@]}" -o 3-three-adapters.png
run render Toybox/model trio.safetensors "${pictures[@]}" -o 4-merged.png
run render toybox-trio "${pictures[@]}" -o 5-baked.png

run audit Toybox/model --before $sepia --after sepia-small.safetensors --prompts Toybox/prompts.txt --cfg 4 --quiet -o audit
say "Is the small one still the same? The audit compares weights, predictions and pictures, beside the noise of changes that" \
  "everybody accepts, and ends with exit code 1 when a check fails."

run resize $sepia -o sepia-smallest.safetensors --until "probe<=0.05" --base Toybox/model --prompts Toybox/prompts.txt --quiet
say "And this is the smallest file whose predictions differ by at most 5 %, found by trying."

say "Now look at the pictures in $out:
  1-sepia.png            the adapter of rank 64 at strengths 0, 0.5 and 1
  2-sepia-small.png      the same from a tenth of the bytes: you should have to look twice to see a difference
  3-three-adapters.png   the model alone, each of three adapters alone, and all of them together
  4-merged.png           the last column of 3 again, from one merged adapter
  5-baked.png            and again from the baked model, without any adapter
  audit/report.html      the audit's whole report, for a browser: pictures with a slider, plots, every layer

Examples/Gallery.md shows more, each picture with the command that made it. Your own files:
  $bin/lathe inspect style.safetensors"
