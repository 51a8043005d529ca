#!/usr/bin/env bash
# Installs what the tests need and runs all of them. Numerics are tested in release builds: debug ones are far too slow.
set -euo pipefail
cd "$(dirname "$0")/.."
source Tests/prepare.sh
require_swift
install_libraries

swift format lint --strict -p -r Sources Tests Examples

# Tests run side by side: kernels that wait for a thread must not keep a core busy meanwhile.
export OMP_WAIT_POLICY=passive

# Imports must go down only, as Package.swift says; and the compiler must have nothing to say.
flags=(-c release -Xswiftc -enable-testing -Xswiftc -warnings-as-errors --explicit-target-dependency-import-check error)
swift build --build-tests "${flags[@]}"
LATHE="$(swift build "${flags[@]}" --show-bin-path)/lathe"
export LATHE
swift test "${flags[@]}" --skip-build

# The page of a real audit, in a browser; and many audits, by the schedulers that people have.
reports=$(mktemp -d "${TMPDIR:-/tmp}/lathe-reports.XXXXXX")
trap 'rm -rf "$reports"' EXIT
"$LATHE" audit Examples/Toybox/model --before Examples/Toybox/adapters/lumi.safetensors@0.8 Examples/Toybox/adapters/sketch.safetensors@0.4 \
  --after Examples/Toybox/adapters/lumi.safetensors@0.8 Examples/Toybox/adapters/sketch.safetensors@0.38 \
  --prompts Examples/Toybox/prompts.txt --steps 4 --quiet -o "$reports/audit" >"$reports/verdict"
bash Tests/page.sh "$reports/audit/report.html"
bash Tests/batch.sh "$LATHE"

# Files that nobody should trust, in quantity.
bash Tests/Hostile/run.sh "$LATHE"

# A share of the kills, faults and changing files; `Tests/Interruptions/run.sh` without --short has all of them.
bash Tests/Interruptions/run.sh "$LATHE" --short

bash Tests/training.sh "$LATHE"
bash Tests/Interop/run.sh "$LATHE"

# What once went wrong, in this program or in others.
bash Tests/Cases/run.sh "$LATHE"
