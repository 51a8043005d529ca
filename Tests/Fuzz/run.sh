#!/usr/bin/env bash
# Fuzzes a reader with libFuzzer. What brings it down is made small and put into corpus/TARGET, which the tests read.
#
#   bash Tests/Fuzz/run.sh TARGET SECONDS [FOLDER]
#
# TARGET is safetensors, adapter, pickle, gguf, configuration (of a picture's model), recipe (of merges and bakes), undo, png,
# prompt, tokenizer or codec (of quantised weights). With FOLDER, inputs that reach new places are kept there, and a later run
# goes on from them.
set -euo pipefail
shopt -s nullglob
target=$1 seconds=$2
kept=${3:+$(realpath -m "$3")}
cd "$(dirname "$0")"
goldens=$PWD/../Goldens
corpus=$PWD/corpus/$target
toybox=$(realpath ../../Examples/Toybox/model)

swift build -c release --sanitize fuzzer --scratch-path ../../.build-fuzz --product "$target-fuzz"
program=$(swift build -c release --sanitize fuzzer --scratch-path ../../.build-fuzz --show-bin-path)/$target-fuzz

memory=/dev/shm
[ -d "$memory" ] || memory=${TMPDIR:-/tmp}
work=$(mktemp -d "$memory/lathe-fuzz.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/inputs" "$work/crashes"
[ -z "$kept" ] || mkdir -p "$kept"
export LATHE_TOYBOX=$toybox TMPDIR=$work SWIFT_BACKTRACE=enable=no

# small FILE...: files of at most 64 KiB are seeds.
small() {
  for file in "$@"; do
    [ "$(wc -c <"$file")" -gt 65536 ] || cp "$file" "$work/inputs/$(basename "$(dirname "$file")")-$(basename "$file")"
  done
}
case $target in
safetensors) small "$goldens"/safetensors/*.safetensors "$goldens"/checkpoints/*.safetensors ;;
adapter) ;;
pickle) small "$goldens"/checkpoints/*.{ckpt,pth,pt} "$goldens"/dialects/*.pt ;;
gguf) small "$goldens"/checkpoints/*.gguf ;;
configuration) # A byte that says which file, and its text.
  number=0
  for file in unet/config text_encoder/config vae/config scheduler/scheduler_config tokenizer/tokenizer_config model_index; do
    printf "\\$(printf '%03o' $number)" | cat - "$toybox/$file.json" >"$work/inputs/toybox-$number"
    number=$((number + 1))
  done ;;
recipe | undo | prompt | tokenizer) ;;
codec) small "$goldens"/quantised/*.{safetensors,gguf} ;;
png) small "$goldens"/images/png/*.png ;;
*) sed -n '/^# TARGET is/,/^# prompt/p' "$0" >&2 && exit 64 ;;
esac
[ ! -d "seeds/$target" ] || small "seeds/$target"/*
[ ! -d "$corpus" ] || small "$corpus"/*
[ -z "$kept" ] || small "$kept"/*

# A crash ends one of the processes that do the work, not the search.
limits=(-rss_limit_mb=1024 -timeout=5 -max_len=65536)
dictionary=()
[ ! -f "dictionaries/$target" ] || dictionary=(-dict="dictionaries/$target")
"$program" "$work/inputs" "${limits[@]}" "${dictionary[@]}" -max_total_time="$seconds" -artifact_prefix="$work/crashes/" \
  -fork=1 -ignore_crashes=1 -ignore_ooms=1 -ignore_timeouts=1 -print_final_stats=1

[ -z "$kept" ] || "$program" -merge=1 "${limits[@]}" "$kept" "$work/inputs" >/dev/null 2>&1
found=0
for crash in "$work"/crashes/*; do
  found=$((found + 1))
  name=$(basename "$crash")
  "$program" -minimize_crash=1 -runs=20000 "${limits[@]}" -exact_artifact_path="$work/minimised" "$crash" >/dev/null 2>&1 || true
  [ -s "$work/minimised" ] || cp "$crash" "$work/minimised"
  mkdir -p "$corpus"
  mv "$work/minimised" "$corpus/$name"
  echo "$target: $corpus/$name"
done
echo "$target: $(find "$work/inputs" -type f | wc -l) inputs, $found that brought the reader down"
[ "$found" -eq 0 ]
