"""Verify the audit trail: no row changed, no gap, no cut tail.

Heads are written to the log of every process each minute and at its stop ("audit head NUMBER:MAC"); give the newest
with --head, so that rows removed from the end show. Needs the RPACS_POSTGRESQL_* variables and RPACS_AUDIT_KEY.
"""

from __future__ import annotations

import argparse

from common import log
from common.audit import Head, verify
from common.command_line import DONE, FAILED
from common.database import Database
from common.errors import ConfigurationError
from common.settings import CommonSettings, load, option, random_key, settings
from website.context import SCHEMA


@settings
class AuditSettings(CommonSettings):
    """What the command is told."""

    audit_key: str = option(
        "RPACS_AUDIT_KEY", "Key that chains the rows of the audit trail.", parse=random_key, secret=True
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    action = actions.add_parser("verify", help="verify the whole trail")
    action.add_argument("--head", action="append", default=[], metavar="NUMBER:MAC", help="a head from a log")


def run(arguments: argparse.Namespace) -> int:
    """Do it."""
    try:
        heads = [Head.parse(text) for text in arguments.head]
    except ValueError as exc:
        raise ConfigurationError("--head takes NUMBER:MAC, as the log shows it") from exc
    loaded = load(AuditSettings)
    log.configure(loaded)
    database = Database.from_settings(loaded, application="research-pacs-audit")
    result = verify(database, SCHEMA, loaded.audit_key, heads)
    for problem in result.problems:
        print(problem)
    print(f"{result.rows} rows, head {result.head}: {'FAILED' if result.problems else 'whole'}")
    return FAILED if result.problems else DONE
