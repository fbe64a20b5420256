#!/usr/bin/env bash
# make test-containers: the platform in containers. CONTAINERS=smoke takes at most five minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CONTAINERS=${CONTAINERS:-full}
status=0
.venv/bin/python -m pytest -n 0 -rs tests/containers || status=$?
exit "$status"
