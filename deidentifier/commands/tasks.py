"""List, show, retry and discard tasks of the queue.

``list`` prints the oldest first. ``retry`` and ``discard`` take IDs, or the same filters as ``list``; without either
they do nothing. A discarded instance is not sent on: its original is deleted from the source Orthanc, unless originals
are preserved, and what was made of it before from the research Orthanc. Rows hold identifiers of Orthanc and classes of
error, never values.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from common.database import Database
from common.errors import ConfigurationError
from common.settings import CommonSettings, load
from common.tasks import TaskQueue
from deidentifier.ingest import SCHEMA

STATES = ("queued", "running", "done", "discarded", "quarantined", "failed")
_PAGE = 1000
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_COLUMNS = ("id", "kind", "state", "error_code", "attempts", "losses", "asked_at", "finished_at", "subject")


def age(text: str) -> float:
    """Accept ``90s``, ``15m``, ``2h`` or ``3d``; return seconds."""
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if not match:
        raise argparse.ArgumentTypeError("must be a number with s, m, h or d: 90s, 15m, 2h, 3d")
    return float(match[1]) * _UNITS[match[2]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, help in (
        ("list", "list tasks"),
        ("show", "show everything about tasks"),
        ("retry", "work on finished or waiting tasks again"),
        ("discard", "give tasks up that failed, wait or are quarantined"),
    ):
        action = actions.add_parser(name, help=help)
        action.add_argument("ids", nargs="*", type=int, metavar="ID", help="tasks")
        action.add_argument("--state", action="append", choices=STATES, help="in this state; may be repeated")
        action.add_argument("--error", action="append", metavar="CLASS", help="with this class of error: InvalidDicom")
        action.add_argument("--kind", action="append", help="of this kind: deidentify, submit")
        action.add_argument("--instance", action="append", metavar="ID", help="of this instance of the source Orthanc")
        action.add_argument("--older-than", type=age, default=0.0, metavar="AGE", help="asked for before: 15m, 3d")
        action.add_argument("--limit", type=int, default=100 if name == "list" else 0, help="at most so many; 0: all")
        action.add_argument("--json", action="store_true", help="print JSON lines")


def run(arguments: argparse.Namespace) -> int:
    """Do it; exit code 1 when a task that was named is not there, or not in a state for it."""
    settings = load(CommonSettings)
    queue = TaskQueue(Database.from_settings(settings, application="deidentifier tasks"), SCHEMA)
    if arguments.action in {"list", "show"}:
        return _print(arguments, list(_find(queue, arguments)))
    return _change(arguments, queue)


def _find(queue: TaskQueue, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    after, left = 0, arguments.limit or sys.maxsize
    while left > 0:
        rows = queue.list_tasks(
            states=arguments.state,
            codes=arguments.error,
            kinds=arguments.kind,
            subjects=arguments.instance,
            ids=arguments.ids or None,
            older=arguments.older_than,
            after=after,
            limit=min(_PAGE, left),
        )
        yield from rows
        if len(rows) < _PAGE:
            return
        after, left = rows[-1]["id"], left - len(rows)


def _change(arguments: argparse.Namespace, queue: TaskQueue) -> int:
    filters = (arguments.state, arguments.error, arguments.kind, arguments.instance, arguments.older_than)
    if not arguments.ids and not any(filters):
        raise ConfigurationError("name tasks, or say which by --state, --error, --kind, --instance, --older-than")
    ids = [row["id"] for row in _find(queue, arguments)]
    done = (queue.retry if arguments.action == "retry" else queue.discard)(ids)
    what = "queued again" if arguments.action == "retry" else "discarded"
    print(json.dumps({"tasks": done, "what": what}) if arguments.json else f"{done} tasks {what}")
    return 0 if not arguments.ids or done == len(set(arguments.ids)) else 1


def _print(arguments: argparse.Namespace, rows: Sequence[dict[str, Any]]) -> int:
    if arguments.json:
        for row in rows:
            print(json.dumps(row, default=_text))
    elif arguments.action == "show":
        for row in rows:
            print(*(f"{name:14} {_text(value)}" for name, value in row.items()), "", sep="\n")
    else:
        _print_table(rows)
    return 0 if not arguments.ids or len(rows) == len(set(arguments.ids)) else 1


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(*_COLUMNS, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(_text(row[name]) for name in _COLUMNS))
    console = Console()
    # Off a terminal nothing is cut off: other programs read it.
    Console(width=console.width if console.is_terminal else 200).print(table)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return "" if value is None else str(value)
