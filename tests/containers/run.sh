#!/usr/bin/env bash
# make test-containers: the platform in containers. CONTAINERS=smoke takes at most five minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CONTAINERS=${CONTAINERS:-full}
# Of our own: pytest keeps three folders for everybody, and removes the others while they are in use.
folder=${CONTAINERS_FOLDER:-$HOME/.cache/research-pacs-containers}
mkdir -p "$folder"
status=0
.venv/bin/python -m pytest -n 0 -rs --basetemp "$folder/tests" tests/containers || status=$?
exit "$status"
