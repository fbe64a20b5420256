"""Write what some rules do as a statement of conformance: a page for whoever answers for data protection."""

from __future__ import annotations

import argparse
from pathlib import Path

from common.settings import load
from deidentifier.builder import DeidentifierBuilder
from deidentifier.rules_file import load_rules
from deidentifier.settings import DEFAULT_RULES, OfflineSettings
from deidentifier.statement import as_html, as_markdown, make_statement


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "rules", nargs="?", default=str(DEFAULT_RULES), help="path or s3://bucket/key; the default rules"
    )
    parser.add_argument("--format", choices=("markdown", "html"), help="by the output's name, else markdown")
    parser.add_argument("--output", type=Path, metavar="FILE", help="instead of standard output")


def run(arguments: argparse.Namespace) -> int:
    """Read the rules and write the statement."""
    settings = load(OfflineSettings)
    builder = DeidentifierBuilder(settings)
    rules = load_rules(builder.storage.read(arguments.rules), arguments.rules)
    page = arguments.format or ("html" if arguments.output and arguments.output.suffix == ".html" else "markdown")
    text = (as_html if page == "html" else as_markdown)(make_statement(rules, builder.recogniser))
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 0
