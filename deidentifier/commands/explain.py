"""Show the labels of a file, whether it is in scope, and for every element which rule decides and why.

The engine is made as a worker's is: with the same key, vocabulary and model of named entities, and, with PostgreSQL's
settings in the environment, the same mappings. No value is shown without --show-values, which shows the words of text
that is cleaned. Nothing is written, and no mapping is kept.
"""

from __future__ import annotations

import argparse

from common.errors import ConfigurationError, ResearchPacsError
from common.log import silence_libraries
from common.settings import load
from common.storage import Storage
from deidentifier.builder import DeidentifierBuilder
from deidentifier.offline.explain import Explanation, Line, explain
from deidentifier.rules_file import load_rules
from deidentifier.settings import OfflineSettings, has_database


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="a DICOM file: a path or s3://bucket/key")
    parser.add_argument(
        "--rules", metavar="RULES.yaml", help="the rules; without, RPACS_DEFAULT_CONFIG_FILE or our own"
    )
    parser.add_argument(
        "--show-values", action="store_true", help="show each word of text that is cleaned, and what becomes of it"
    )


def run(arguments: argparse.Namespace) -> int:
    """Explain to standard output."""
    silence_libraries()
    settings = load(OfflineSettings)
    builder = _builder(settings)
    name = arguments.rules or settings.rules
    rules = load_rules(_read(builder.storage, name), name)
    _print(explain(builder, rules, _read(builder.storage, arguments.file)), arguments.show_values)
    return 0


def _builder(settings: OfflineSettings) -> DeidentifierBuilder:
    if not has_database():
        return DeidentifierBuilder(settings)
    from deidentifier.offline.rehearsal import rehearsed_mappings  # psycopg2, only for who has a database

    return DeidentifierBuilder(settings, rehearsed_mappings(settings.pseudonym_key))


def _print(explanation: Explanation, show_values: bool) -> None:
    print(f"labels: {', '.join(explanation.labels)}")
    print(f"scope: {explanation.scope}")
    if not explanation.lines:
        return
    print("\nrules that act on it, in this order:")
    print(*(f"  {sentence}" for sentence in explanation.rules), sep="\n")
    print("\nelements:")
    for line in explanation.lines:
        print(f"  {line}")
        if show_values:
            print(*_words(line), sep="", end="")
    if explanation.leaks:
        head, *found = explanation.leaks
        print(f"\n{head}")
        print(*(f"  {finding}" for finding in found), sep="\n")


def _words(line: Line) -> list[str]:
    # Text of a file may hold what a terminal takes for a command.
    return [f"    {word.text!r} {'stays' if word.kept else 'goes'}: {word.reason}\n" for word in line.words]


def _read(storage: Storage, location: str) -> bytes:
    try:
        return storage.read(location)
    except ResearchPacsError as exc:
        raise ConfigurationError(f"{location}: {exc}") from exc
