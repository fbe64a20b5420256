"""Take over the mappings of Research PACS on AWS 1.0, so that known patients keep their pseudonyms.

Reads its table rpacs_dicom_mapping in the same database, as the role that owns the schema (the one for migrate).
Running it again adds what is new and changes nothing else.
"""

from __future__ import annotations

import argparse
import re

from common.database import Database
from common.settings import CommonSettings, load
from deidentifier.version_1_mappings import TABLE, import_mappings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--table", type=_table, default=TABLE, help="TABLE or SCHEMA.TABLE (default: %(default)s)")


def _table(text: str) -> str:
    if not re.fullmatch(r"\w+(\.\w+)?", text):
        raise argparse.ArgumentTypeError("must be TABLE or SCHEMA.TABLE")
    return text


def run(arguments: argparse.Namespace) -> int:
    """Import; print how much, and what a person should look at."""
    database = Database.from_settings(load(CommonSettings), application="deidentifier-import", max_connections=1)
    done = import_mappings(database, arguments.table)
    print(f"{done.rows} rows read, {done.added} mappings added")
    if done.collisions:
        print(f"{done.collisions} new values stand for more than one original: they were left as they are")
    if done.unknown:
        print(f"{done.unknown} rows of an unknown type or scope were left out")
    return 1 if done.unknown else 0
