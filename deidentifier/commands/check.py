"""Check a rules file and print every problem as file:line:column: message.

Exit codes: 0 the rules can go live (warnings are printed all the same); 1 they cannot; 2 the file cannot be read, or
what the settings name beside it: the vocabulary, the model of named entities.
"""

from __future__ import annotations

import argparse
import sys

from common.errors import ResearchPacsError, RulesError
from common.settings import load
from deidentifier.builder import DeidentifierBuilder
from deidentifier.rules_file import load_rules
from deidentifier.settings import OfflineSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("rules", metavar="RULES.yaml", help="a path or s3://bucket/key")


def run(arguments: argparse.Namespace) -> int:
    """Check; print problems to standard output, and what the rules would do."""
    settings = load(OfflineSettings)
    builder = DeidentifierBuilder(settings)
    try:
        rules = load_rules(builder.storage.read(arguments.rules), arguments.rules)
    except RulesError as exc:
        print(*exc.problems, sep="\n")
        return 1
    except ResearchPacsError as exc:
        print(f"{arguments.rules}: {exc}", file=sys.stderr)
        return 2
    print(*rules.warnings, sep="\n")
    print(f"{arguments.rules}: no errors (SHA-256 {rules.sha256})")
    return 0
