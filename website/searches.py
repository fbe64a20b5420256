"""Searches that users saved, and those they made last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from common.database import Database, load_statements
from common.errors import NotFoundError, RefusedError

MAX_NAME = 100
MAX_QUERY = 10_000
_SQL = Path(__file__).with_name("searches.sql")


@dataclass(frozen=True)
class Search:
    """One search; ``name`` is None where it was made but not saved."""

    id: int
    name: str | None
    query: str
    used_at: datetime


class Searches:
    """The searches of each user; nobody reaches another's."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._statements = load_statements(_SQL)

    def remember(self, user: str, query: str) -> None:
        """Keep a search among the user's 20 latest; very long ones are not kept."""
        if query.strip() and len(query) <= MAX_QUERY:
            self._run("remember", user=user, query=query.strip())

    def save(self, user: str, name: str, query: str) -> None:
        """Keep a search under a name, which may be one that exists.

        Raises
        ------
        RefusedError
            The name or the query is too long, or the name is empty.
        """
        name = " ".join(name.split())
        if not 1 <= len(name) <= MAX_NAME or len(query) > MAX_QUERY:
            raise RefusedError(f"A name has 1 to {MAX_NAME} characters, a query at most {MAX_QUERY:,}.")
        self._run("save", user=user, name=name, query=query.strip())

    def delete(self, user: str, search_id: int) -> None:
        """Forget a search of this user.

        Raises
        ------
        NotFoundError
            There is none, or it is somebody else's.
        """
        if not self._run("delete", user=user, id=search_id):
            raise NotFoundError

    def list(self, user: str) -> list[Search]:
        """Return the user's searches: saved ones by name, then the latest."""
        with self._database.transaction() as cursor:
            cursor.execute(self._statements["list"], {"user": user})
            return [Search(*row) for row in cursor.fetchall()]

    def _run(self, statement: str, **values: object) -> int:
        with self._database.transaction() as cursor:
            cursor.execute(self._statements[statement], values)
            return cursor.rowcount
