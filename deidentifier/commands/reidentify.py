"""Look up originals by their pseudonyms or new UIDs, or export all mappings, encrypted; each look-up is audited.

Log in as a role with the rights of rpacs_reidentify. The audit row is written before anything is told.
Columns: kind, scope, new value, original, project (empty outside all projects).
"""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from common.audit import AuditTrail
from common.database import Database
from common.errors import RefusedError
from common.settings import load
from deidentifier.offline.report import open_private
from deidentifier.reidentification import Reidentification, read_export
from deidentifier.settings import ReidentifySettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("values", nargs="*", metavar="VALUE", help="pseudonym, UID or other new value")
    parser.add_argument("--reason", required=True, help="why; stands in the audit trail")
    parser.add_argument("--file", type=Path, metavar="FILE", help="more values, one a line")
    parser.add_argument("--export", metavar="FILE", help="write all mappings, encrypted (RPACS_MAPPINGS_EXPORT_KEY)")
    parser.add_argument("--read", type=Path, metavar="FILE", help="print the mappings of an export instead")


def run(arguments: argparse.Namespace) -> int:
    """Look up and print tab-separated lines; 1 where a value stands for nothing that is known."""
    settings = load(ReidentifySettings)
    database = Database.from_settings(settings, application="deidentifier-reidentify", max_connections=2)
    audit = AuditTrail(database, "ingest", settings.audit_key)
    try:
        work = Reidentification(database, audit, f"{getpass.getuser()}@{settings.database_user}", arguments.reason)
        if arguments.read:
            return _print_export(arguments.read, settings.export_key)
        if arguments.export:
            return _export(work, arguments.export, settings.export_key)
        return _find(work, arguments)
    finally:
        audit.close()


def _find(work: Reidentification, arguments: argparse.Namespace) -> int:
    lines = arguments.file.read_text().splitlines() if arguments.file else []
    values = [value.strip() for value in (*arguments.values, *lines) if value.strip()]
    if not values:
        raise RefusedError("name at least one value")
    found = work.find(values)
    for each in found:
        print(each.kind, each.scope, each.replacement, each.original, each.project, sep="\t")
    known = {each.replacement.lower() for each in found}
    missing = sum(value.lower() not in known for value in values)
    if missing:
        print(f"{missing} of {len(values)} values stand for nothing that is known", file=sys.stderr)
    return 1 if missing else 0


def _export(work: Reidentification, path: str, key: str) -> int:
    lines = [line.decode() for line in work.export(key)]
    with open_private(path) as file:
        file.writelines(lines)
    return 0


def _print_export(path: Path, key: str) -> int:
    with path.open("rb") as file:
        for row in read_export(file, key):
            print(*(("" if cell is None else cell) for cell in row), sep="\t")
    return 0
