#!/usr/bin/env bash
# Looks for steps beyond memory and for undefined behaviour: in the C rooms with a program of their own (seconds), and with
# `all` in the readers and kernels with their tests (many minutes, each sanitizer with a build of its own).
#
#   bash Tests/sanitize.sh [all]
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/lathe-sanitize.XXXXXX")
trap 'rm -rf "$work"' EXIT
# A leak would be one of OpenMP's threads, which live as long as the process.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1

clang=$(dirname "$(readlink -f "$(command -v swift)")")/clang
"$clang" -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all \
  -ISources/CArithmetic/include -ISources/CKernels/include -ISources/CArithmetic -ISources/CKernels \
  Sources/CArithmetic/*.c Sources/CKernels/*.c Tests/Sanitize/loops.c -fuse-ld=lld -lgomp -lm -o "$work/loops"
"$work/loops"

[ "${1:-}" = all ] || exit 0
rooms='TensorsTests|LinearAlgebraTests|SafetensorsTests|TorchPicklesTests|GGUFTests|KernelsTests|PromptsTests|ImagesTests'
for sanitizer in address undefined; do
  options=(--scratch-path ".build-$sanitizer" --sanitize "$sanitizer")
  [ "$sanitizer" = address ] || options+=(-Xcc -fsanitize=undefined -Xcc -fno-sanitize-recover=all)
  swift build --build-tests "${options[@]}"
  swift test --skip-build "${options[@]}" --filter "$rooms"
done
