#!/usr/bin/env bash
# Looks for steps beyond memory and for undefined behaviour: in the C rooms with a program of their own (seconds), and with
# `all` in the readers, kernels, networks and pictures with their tests (many minutes, each sanitizer with a build of its own).
# `address` and `undefined` do one of the two.
#
#   bash Tests/sanitize.sh [all|address|undefined] [FILTER]
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

case "${1:-}" in
  all) sanitizers="address undefined" ;;
  address | undefined) sanitizers=$1 ;;
  *) exit 0 ;;
esac
filter=${2:-.}

# A package of the rooms that are tested and of those below them, without the rest, which would take most of the build. It is
# optimised: networks without are too slow to be waited for.
export ROOMS="Tensors Files JSON LinearAlgebra Safetensors TorchPickles GGUF Models Checkpoints Adapters Images Prompts Sampling Kernels Networks Rendering"
export TESTED="Tensors LinearAlgebra Safetensors TorchPickles GGUF Images Prompts Kernels Networks Rendering"
mkdir -p .build-sanitize
ln -sfn ../Sources ../Tests ../Examples .build-sanitize
perl -0pe '
  s/let rooms: /let house: /;
  s/(let package = )/let kept = "$ENV{ROOMS}".split(separator: " "), tested = "$ENV{TESTED}".split(separator: " ")\nlet rooms = house.filter { kept.contains(\$0.name[...]) }\n\n$1/;
  s/  dependencies: \[\n    \.package.*?\n  \],\n//s;
  s/\n    \+ \[\.executable\(.*?\n/,\n/;
  s/    \.executableTarget\(.*?\n//;
  s/      \.testTarget\(\n        name: "ReadmeTests".*?swiftSettings: settings\),\n//s;
  s/rooms\.map \{\n      \.testTarget/rooms.filter { tested.contains(\$0.name[...]) }.map {\n      .testTarget/;
' Package.swift >.build-sanitize/Package.swift

for sanitizer in $sanitizers; do
  options=(--package-path .build-sanitize --scratch-path ".build-sanitize/$sanitizer" -c release -Xswiftc -enable-testing)
  case $sanitizer in
    address) options+=(--sanitize address) ;;
    # Of C alone: Swift has no such sanitizer on Linux, and checks its own arithmetic. What is found ends the tests.
    undefined) options+=(-Xcc -fsanitize=undefined -Xcc -fsanitize-trap=undefined) ;;
  esac
  swift build --build-tests "${options[@]}"
  swift test --skip-build "${options[@]}" --filter "$filter"
done
