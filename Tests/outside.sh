#!/usr/bin/env bash
# Builds and runs a package that imports some rooms from outside, and looks that it needs nothing of the rooms it does not import.
#
#   bash Tests/outside.sh
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d "${TMPDIR:-/tmp}/lathe-outside.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/outside/Sources/outside"
cat >"$work/outside/Package.swift" <<PACKAGE
// swift-tools-version: 6.1
import PackageDescription

let package = Package(
  name: "outside",
  dependencies: [.package(name: "Lathe", path: "$root")],
  targets: [
    .executableTarget(
      name: "outside",
      dependencies: ["Safetensors", "Adapters", "Spectra"].map { .product(name: \$0, package: "Lathe") })
  ])
PACKAGE
cat >"$work/outside/Sources/outside/main.swift" <<'PROGRAM'
import Adapters
import Safetensors
import Spectra

let path = CommandLine.arguments[1]
let adapter = try Adapter(path: path), spectrum = try AdapterSpectrum(of: adapter, threads: 2)
print(try SafetensorsFile(path: path).entries.count, spectrum.total.spectrum.rank(keepingEnergy: 0.95))
PROGRAM
cd "$work/outside"
swift build
program=$(swift build --show-bin-path)/outside
"$program" "$root/Examples/Toybox/adapters/sketch.safetensors" | grep -E '^[1-9][0-9]* [1-9][0-9]*$'
if ldd "$program" | grep -E 'dnnl|gomp|libpng'; then
  echo "outside.sh: expected no library of the engine, found these" >&2
  exit 1
fi
echo "a package outside needs no engine"
