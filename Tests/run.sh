#!/usr/bin/env bash
# Installs what the tests need and runs them: all, or the stages that are named, in their order here.
#
#   bash Tests/run.sh [STAGE...]     lint swift page batch hostile interruptions training interop cases
#
# Numerics are tested in release builds: debug ones are far too slow.
set -euo pipefail
cd "$(dirname "$0")/.."
source Tests/prepare.sh
stages=(lint swift page batch hostile interruptions training interop cases)
for stage in "$@"; do
  [[ " ${stages[*]} " == *" $stage "* ]] || { echo "run.sh: expected one of ${stages[*]}, found $stage" >&2 && exit 64; }
done
is_asked() { [ "${#asked[@]}" -eq 0 ] || [[ " ${asked[*]} " == *" $1 "* ]]; }
asked=("$@")

require_swift
install_libraries

if is_asked lint; then
  swift format lint --strict -p -r Sources Tests Examples
  # Only the desk names options in what it says.
  if grep -rnE --include='*.swift' '"[^"]*--[a-z]+' Sources | grep -v '^Sources/Commands/'; then
    echo "run.sh: expected options in the texts of Commands only, found these" >&2 && exit 1
  fi
fi
[ "${asked[*]}" != lint ] || exit 0

# Tests run side by side: kernels that wait for a thread must not keep a core busy meanwhile.
export OMP_WAIT_POLICY=passive

# Imports must go down only, as Package.swift says; and the compiler must have nothing to say.
flags=(-c release -Xswiftc -enable-testing -Xswiftc -warnings-as-errors --explicit-target-dependency-import-check error)
swift build --build-tests "${flags[@]}"
LATHE="$(swift build "${flags[@]}" --show-bin-path)/lathe"
export LATHE

reports=$(mktemp -d "${TMPDIR:-/tmp}/lathe-reports.XXXXXX")
trap 'rm -rf "$reports"' EXIT
export XDG_CACHE_HOME="$reports/caches"

swift_stage() { swift test "${flags[@]}" --skip-build; }

# The page of a real audit, in a browser.
page_stage() {
  local before=(Examples/Toybox/adapters/lumi.safetensors@0.8 Examples/Toybox/adapters/sketch.safetensors@0.4)
  local after=(Examples/Toybox/adapters/lumi.safetensors@0.8 Examples/Toybox/adapters/sketch.safetensors@0.38)
  "$LATHE" audit Examples/Toybox/model --before "${before[@]}" --after "${after[@]}" \
    --prompts Examples/Toybox/prompts.txt --steps 4 --quiet -o "$reports/audit" >"$reports/verdict"
  bash Tests/page.sh "$reports/audit/report.html"
}

# Many audits, by the schedulers that people have.
batch_stage() { bash Tests/batch.sh "$LATHE"; }

# Files that nobody should trust, in quantity.
hostile_stage() { bash Tests/Hostile/run.sh "$LATHE"; }

# A share of the kills, faults and changing files; `Tests/Interruptions/run.sh` without --short has all of them.
interruptions_stage() { bash Tests/Interruptions/run.sh "$LATHE" --short; }

training_stage() { bash Tests/training.sh "$LATHE"; }
interop_stage() { bash Tests/Interop/run.sh "$LATHE"; }

# What once went wrong, in this program or in others.
cases_stage() { bash Tests/Cases/run.sh "$LATHE"; }

for stage in "${stages[@]:1}"; do
  if is_asked "$stage"; then "${stage}_stage"; fi
done
