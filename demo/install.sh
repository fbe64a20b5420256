#!/usr/bin/env bash
# Install what the demo ("run") or the tests ("dev") need on Debian 12, 13 or Ubuntu 24.04; nothing where it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=${1:-run}
say() { printf '%s\n' "$*" >&2; }

packages=(orthanc orthanc-dicomweb dcmtk libturbojpeg0)
# The second reader and the fonts of the generated images on which finding text is measured.
fonts=(fonts-dejavu-core fonts-liberation fonts-freefont-ttf fonts-hack fonts-roboto-unhinted fonts-open-sans fonts-inconsolata)
[ "$kind" = dev ] && packages+=(chromium dicom3tools libgdcm-tools orthanc-postgresql tesseract-ocr "${fonts[@]}")
python=${PYTHON:-python3}
command -v "$python" >/dev/null || packages+=(python3)
"$python" -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3-venv)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || { say "Please install by hand: ${missing[*]} (only Debian and Ubuntu are known here)."; exit 1; }
  sudo=
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { say "Please run as root, or install sudo: missing packages are ${missing[*]}."; exit 1; }
    sudo=sudo
  fi
  say "Installing ${missing[*]} …"
  # A freshly installed Orthanc must not start as a service of the machine (policy-rc.d is Debian's way to say so).
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap '$sudo rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod 755 "$policy"
  fi
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { say "Python 3.11 or later is needed."; exit 1; }
# The lock of the tests holds all that the lock of the demo does, so either order works.
stamp=.venv/.installed-$kind
[ "$kind" = run ] && [ -e .venv/.installed-dev ] && stamp=.venv/.installed-dev
lock=requirements/${stamp##*-}.lock
if ! cmp -s "$lock" "$stamp"; then
  say "Installing Python packages from $lock …"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
  cp "$lock" "$stamp"
fi
# The viewer comes from npm's registry. Without it the portal works, and says that none is installed.
.venv/bin/python -m website.ohif.build >/dev/null || say "Going on without the viewer; run this again to install it."

# A tool in an environment of its own, its command beside the others: environment NAME COMMAND…
environment() {
  local name=$1 folder=.venv/environments/$1 lock=requirements/$1.lock command
  shift
  cmp -s "$lock" "$folder/.installed" || {
    say "Installing $name from $lock …"
    "$python" -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
    cp "$lock" "$folder/.installed"
  }
  for command in "$@"; do ln -sf "../environments/$name/bin/$command" ".venv/bin/$command"; done
}
[ "$kind" != dev ] || environment checkov checkov
