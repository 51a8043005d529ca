#!/usr/bin/env bash
# Opens the page of an audit in a browser and tries it: no errors, no requests, no sideways scrolling on a telephone;
# sliders, views, sorting and the filter do what they say. Installs Chromium where it is missing.
#
#   bash Tests/page.sh REPORT.html [SCREENSHOT_FOLDER]
set -euo pipefail
report=$(realpath "$1")
screenshots=${2:-}
[ -z "$screenshots" ] || { mkdir -p "$screenshots" && screenshots=$(realpath "$screenshots"); }
cd "$(dirname "$0")/.."
source Tests/prepare.sh
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$browser" ]; then
  install_packages chromium
  browser=$(command -v chromium)
fi
command -v python3 >/dev/null 2>&1 || install_packages python3
python3 Tests/page.py "$browser" "$report" ${screenshots:+"$screenshots"}
