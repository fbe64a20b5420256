#!/usr/bin/env bash
# Renew the lock files (versions with hashes, for Python 3.11 and later, without the address of any registry).
set -euo pipefail
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
[ -x "$uv" ] || .venv/bin/pip install --quiet uv
compile() {
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
    --no-annotate pyproject.toml "$@"
}
compile --extra deidentifier --extra ocr --extra ner --extra website --extra demo --extra test --extra check --output-file requirements/dev.lock
compile --extra deidentifier --constraint requirements/dev.lock --output-file requirements/deidentifier.lock
# What finding text in pixels, and names in text, takes besides: layers of their own in the image, so they hold nothing
# that the other has; what that one needs for older Pythons only is not in the image.
for extra in ocr ner; do
  # shellcheck disable=SC2046 # a word for each package
  compile --extra deidentifier --extra "$extra" --constraint requirements/dev.lock \
    --output-file "requirements/$extra.lock" \
    $(sed -nE '/python_full_version </d; s/^([a-z0-9-]+)==.*/--no-emit-package \1/p' requirements/deidentifier.lock | sort -u)
done
compile --extra website --constraint requirements/dev.lock --output-file requirements/website.lock
compile --extra deidentifier --extra ocr --extra website --extra demo --constraint requirements/dev.lock \
  --output-file requirements/run.lock
# Tools whose own dependencies would quarrel with ours live in environments of their own.
echo checkov | "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
  --no-annotate - --output-file requirements/checkov.lock
