#!/usr/bin/env bash
# What the examples begin with: the program in $LATHE, or built, and a queue of Toybox's adapters. Sourced by them.
#
# prepare FOLDER PACKAGE...: sets LATHE, model, prompts and work, which is a new folder where FOLDER is empty.
repository=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
source "$repository/Tests/prepare.sh"

prepare() {
  work=${1:-$(mktemp -d "${TMPDIR:-/tmp}/lathe-batch.XXXXXX")}
  mkdir -p "$work"
  work=$(realpath "$work")
  shift
  if [ -z "${LATHE:-}" ]; then
    require_swift
    install_libraries
    swift build --package-path "$repository" -c release --product lathe
    LATHE=$(swift build --package-path "$repository" -c release --show-bin-path)/lathe
  fi
  install_packages "$@" >/dev/null
  LATHE=$(realpath "$LATHE")
  export LATHE
  model=$repository/Examples/Toybox/model prompts=$repository/Examples/Toybox/prompts.txt
  [ -e "$work/pairs.csv" ] || bash "$repository/Examples/Batch/toybox.sh" "$work"
}
