#!/usr/bin/env bash
# Checks for Swift and installs the C libraries that Lathe links, where they are missing. Sourced by other scripts.

require_swift() {
  if ! command -v swift >/dev/null 2>&1; then
    echo "Swift is missing. Install Swift 6.1 or later: https://www.swift.org/install/linux/" >&2
    exit 69
  fi
  local version
  version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
  if [ "$(printf '%s\n6.1\n' "$version" | sort -V | head -n 1)" != 6.1 ]; then
    echo "Swift ${version:-of unknown version} is too old. Install Swift 6.1 or later: https://www.swift.org/install/linux/" >&2
    exit 69
  fi
}

install_libraries() {
  install_packages libopenblas-dev liblapacke-dev libzip-dev libzstd-dev libxxhash-dev libssl-dev libpng-dev libdnnl-dev pkg-config
}

# install_packages PACKAGE...: Debian's, those that are missing.
install_packages() {
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "These packages are missing (Debian's names): ${missing[*]}. Install them with your package manager." >&2
    exit 69
  fi
  local root=()
  [ "$(id -u)" -eq 0 ] || root=(sudo)
  echo "Installing ${missing[*]}"
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# prepare_interop_python: sets $python to one with the libraries that other programs of this field use. From the project's root.
prepare_interop_python() {
  local wanted=Tests/Interop/requirements.txt environment=$PWD/.build-interop
  python=${LATHE_INTEROP_PYTHON:-$environment/bin/python}
  if [ -z "${LATHE_INTEROP_PYTHON:-}" ] && ! cmp -s "$wanted" "$environment/requirements.txt"; then
    python3 -c 'import ensurepip' 2>/dev/null || install_packages python3-venv
    python3 -m venv "$environment"
    "$environment/bin/pip" install -q "torch==2.13.0+cpu" || "$environment/bin/pip" install -q torch==2.13.0
    "$environment/bin/pip" install -q -r "$wanted"
    cp "$wanted" "$environment/requirements.txt"
  fi
}
