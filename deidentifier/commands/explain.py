"""Show the labels of a file, whether it is in scope, and for every element which rule decides and why.

No value is shown. Nothing is written, and no mapping is made.
"""

from __future__ import annotations

import argparse

from common.errors import ConfigurationError, ResearchPacsError
from common.log import silence_libraries
from common.settings import load
from common.storage import Storage
from deidentifier.offline.explain import explain
from deidentifier.rules_file import load_rules
from deidentifier.settings import OfflineSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="a DICOM file: a path or s3://bucket/key")
    parser.add_argument(
        "--rules", metavar="RULES.yaml", help="the rules; without, RPACS_DEFAULT_CONFIG_FILE or our own"
    )


def run(arguments: argparse.Namespace) -> int:
    """Explain to standard output."""
    silence_libraries()
    settings = load(OfflineSettings)
    storage = Storage(endpoint=settings.s3_endpoint, region=settings.aws_region)
    name = arguments.rules or settings.rules
    rules = load_rules(_read(storage, name), name)
    explanation = explain(rules, _read(storage, arguments.file), max_inflated=settings.max_inflated_bytes)
    print(f"labels: {', '.join(explanation.labels)}")
    print(f"scope: {explanation.scope}")
    if explanation.lines:
        print("\nrules that act on it, in this order:")
        print(*(f"  {sentence}" for sentence in explanation.rules), sep="\n")
        print("\nelements:")
        print(*(f"  {line}" for line in explanation.lines), sep="\n")
    return 0


def _read(storage: Storage, location: str) -> bytes:
    try:
        return storage.read(location)
    except ResearchPacsError as exc:
        raise ConfigurationError(f"{location}: {exc}") from exc
