#!/usr/bin/env bash
# Makes a small upload queue of Toybox's adapters: each cut to a half and to a twentieth of its bytes, and one upload that
# was cut off. Writes FOLDER/after and FOLDER/pairs.csv, a manifest of `lathe audit`.
#
#   LATHE=PROGRAM bash Examples/Batch/toybox.sh FOLDER
set -euo pipefail
lathe=$(realpath "$LATHE")
toybox=$(realpath "$(dirname "$0")/../Toybox")
mkdir -p "$1/after"
cd "$1"

# Paths in a manifest are relative to it, or absolute.
echo "name,before,after" >pairs.csv
for adapter in sketch popart glitter neon blueprint sepia-r64 lumi; do
  before=$toybox/adapters/$adapter.safetensors
  [ -e "$before" ] || before=$toybox/adapters/$adapter
  bytes=$(du -bsL "$before" | cut -f 1)
  for part in 2 20; do
    after=after/$adapter-$part.safetensors
    # PEFT adapters are folders.
    [ -d "$before" ] && after=after/$adapter-$part
    "$lathe" resize "$before" -o "$after" --size $((bytes / part)) --quiet >/dev/null
    printf '%s,"%s",%s\n' "$adapter-$part" "$before" "$after" >>pairs.csv
  done
done
head -c 100000 after/sketch-2.safetensors >after/cut-off.safetensors
printf '%s,"%s",%s\n' cut-off "$toybox/adapters/sketch.safetensors" after/cut-off.safetensors >>pairs.csv
