"""Mappings as a worker would get them now, of which nothing is kept: for those who ask what would be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from common.database import Cursor, Database
from common.settings import CommonSettings, load
from deidentifier.mappings import PostgresMappings
from deidentifier.pseudonym_key import pseudonym_key


class RolledBackDatabase(Database):
    """A database on which nothing stays: every transaction is rolled back at its end."""

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """Yield a cursor; what it writes does not stay."""
        with super().transaction() as cursor:
            yield cursor
            cursor.connection.rollback()

    def call(self, statement: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows; what it writes does not stay."""
        with self.transaction() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()


def rehearsed_mappings(key: str) -> PostgresMappings:
    """Return the mappings in the database that the environment names; what is missing there is made, but not kept."""
    database = RolledBackDatabase.from_settings(load(CommonSettings), application="deidentifier-explain")
    return PostgresMappings(database, key=pseudonym_key(key))
