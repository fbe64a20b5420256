"""Reading the audit trail: filtered, newest first, a page or all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from common.database import Database

COLUMNS = (
    "at", "phase", "request", "user", "groups", "profiles", "token", "purpose", "address", "action", "method", "path",
    "arguments", "query", "english", "objects", "counts", "forwarded", "refused", "attempted", "login", "status",
    "milliseconds", "bytes",
)  # fmt: skip
"""The keys of entries that a table shows, in order."""

# What each filter adds to the statement; values go in as parameters.
_CONDITIONS = {
    "user": "user_name = %(user)s",
    "action": "action = %(action)s",
    "object": "strpos(entry::text, %(object)s) > 0",
    "since": "at >= %(since)s",
    "until": "at < %(until)s",
    "before": "seq < %(before)s",
}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?)?")


@dataclass(frozen=True)
class Row:
    """One row; ``entry`` is what was written."""

    seq: int
    entry: Mapping[str, Any]


def read_filters(arguments: Mapping[str, str]) -> dict[str, str | int]:
    """Take the filters that a request names; raises ``ValueError`` on a malformed one."""
    filters: dict[str, str | int] = {
        name: arguments[name].strip() for name in _CONDITIONS if arguments.get(name, "").strip()
    }
    for name in ("since", "until"):
        if name in filters and not _DATE.fullmatch(str(filters[name])):
            raise ValueError("a date is 2024-01-31 or 2024-01-31T12:00, in UTC")
    if "before" in filters:
        filters["before"] = int(filters["before"])
    return filters


def search(database: Database, filters: Mapping[str, str | int], limit: int) -> list[Row]:
    """Return the newest rows that pass the filters; ``before`` is where the page before ended."""
    conditions = " AND ".join(_CONDITIONS[name] for name in filters) or "true"
    statement = f"SELECT seq, entry FROM research.audit WHERE {conditions} ORDER BY seq DESC LIMIT %(limit)s"  # noqa: S608  fixed pieces
    with database.transaction() as cursor:
        cursor.execute(statement, {**filters, "limit": limit})
        return [Row(seq, entry) for seq, entry in cursor.fetchall()]


def search_all(database: Database, filters: Mapping[str, str | int], page: int = 1000) -> Iterator[Row]:
    """Yield every row that passes the filters, in constant memory."""
    rows = search(database, filters, page)
    while rows:
        yield from rows
        rows = search(database, {**filters, "before": rows[-1].seq}, page)
