"""List exports; with --holding, those that held certain instances (for a withdrawal of consent).

FILE holds SOP Instance UIDs of research instances, one a line; - is standard input. Listed is every export that has
them in its bucket, or may have, since it was interrupted; the keys are what has to be deleted there.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from common.command_line import DONE
from common.database import Database
from common.errors import ConfigurationError
from common.settings import CommonSettings, load
from website.exports.store import Exports

_UID = re.compile(r"[0-9.]{1,64}")
_AT_ONCE = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--user", help="of this user alone")
    parser.add_argument("--holding", metavar="FILE", help="that hold the SOP Instance UIDs in a file")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--limit", type=int, default=200, help="latest ones (200); --holding lists all")


def run(arguments: argparse.Namespace) -> int:
    """List them."""
    exports = Exports(Database.from_settings(load(CommonSettings), application="website exports"))
    if arguments.holding:
        uids = read_uids(arguments.holding)
        rows = [row for at in range(0, len(uids), _AT_ONCE) for row in exports.holding(uids[at : at + _AT_ONCE])]
        rows = [row for row in rows if arguments.user in (None, row["user"])]
    else:
        rows = [
            {
                "export": export.id,
                "user": export.user,
                "state": export.state,
                "destination": export.destination.url,
                "created": export.created_at.isoformat(timespec="seconds"),
                "instances": export.instances,
                "sent": export.sent,
                "failed": export.failed,
                "query": export.query,
            }
            for export in exports.latest(arguments.user, arguments.limit)
        ]
    _print(rows, as_json=arguments.json)
    return DONE


def read_uids(file: str) -> list[str]:
    """Read UIDs, one a line; blank lines and lines that begin with # are passed over.

    Raises
    ------
    ConfigurationError
        The file cannot be read, or lines hold something else; their numbers are named, not what they hold.
    """
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{file} cannot be read: {type(exc).__name__}") from exc
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    given = [(number, line) for number, line in lines if line and not line.startswith("#")]
    wrong = [f"{file}:{number}: expected a SOP Instance UID" for number, line in given if not _UID.fullmatch(line)]
    if wrong:
        raise ConfigurationError(wrong[:20])
    return list(dict.fromkeys(line for _, line in given))


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
        return
    if not rows:
        print("none")
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(", ".join(value) if isinstance(value, list) else str(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 300).print(table)
