#!/usr/bin/env bash
# make test-containers: the platform in containers. CONTAINERS=smoke takes at most five minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CONTAINERS=${CONTAINERS:-full}
# Of our own: pytest keeps three folders for everybody, and removes the others while they are in use.
folder=${CONTAINERS_FOLDER:-$HOME/.cache/research-pacs-containers}
mkdir -p "$folder"
# One run at a time: the engine, its images and the folder above are one.
exec 9> "$folder/lock"
flock 9
status=0
.venv/bin/python -m pytest -n 0 -rs --basetemp "$folder/tests" tests/containers || status=$?
exit "$status"
