"""What the portal may know of the ingest side: counts, ages, rates, what the rules do. No values, no identifiers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.database import Database, load_statements

_SQL = Path(__file__).with_name("ingest_status.sql")


@dataclass(frozen=True)
class IngestStatus:
    """The view ``ingest.status`` and its neighbours.

    Attributes
    ----------
    states
        (state, class of error, tasks, seconds since the oldest, finished in the last hour, in the last day).
    days
        (day, state, tasks), newest first.
    statement
        What the rules in force do, in English; None where no worker has loaded any yet.
    """

    states: list[tuple[Any, ...]]
    days: list[tuple[Any, ...]]
    statement: str | None = None
    sha256: str = ""
    refused: bool = False


def read_ingest_status(database: Database) -> IngestStatus | None:
    """Read the status; None where the two sides do not share a database."""
    statements = load_statements(_SQL)
    with database.transaction() as cursor:
        cursor.execute(statements["shared"])
        (shared,) = cursor.fetchone() or (False,)
        if not shared:
            return None
        cursor.execute(statements["states"])
        states = cursor.fetchall()
        cursor.execute(statements["days"])
        days = cursor.fetchall()
        cursor.execute(statements["rules"])
        rules = cursor.fetchone()
    return IngestStatus(states, days, *(rules or ()))
