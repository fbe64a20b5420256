"""Numbered migrations of one schema, the roles that may use it, and the database of its side's Orthanc.

The migrations of a schema are the files ``NNNN_name.sql`` of one or more folders, applied in order of their
numbers, each in a transaction, under an advisory lock; what was applied is kept with its SHA-256, so that an
edited migration is noticed. ``{schema}`` in a file stands for the schema's name. Numbers below 1000 belong to
``common/sql`` (tables that both sides have), the others to the side.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg2 import sql

from common.database import Cursor, Database
from common.errors import ConfigurationError
from common.orthanc_database import ensure_orthanc_database
from common.roles import Role, ensure_role
from common.settings import CommonSettings

COMMON_FOLDER = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class Migration:
    """One file."""

    number: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Hash of the file's text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_migrations(folders: Iterable[Path]) -> list[Migration]:
    """Read the migrations of some folders in the order of their numbers.

    Raises
    ------
    ConfigurationError
        Two files have one number.
    """
    found: dict[int, Migration] = {}
    for file in sorted(file for folder in folders for file in folder.glob("[0-9][0-9][0-9][0-9]_*.sql")):
        number = int(file.name[:4])
        if number in found:
            raise ConfigurationError(f"migrations {found[number].name} and {file.name} have one number")
        found[number] = Migration(number, file.name, file.read_text())
    return [found[number] for number in sorted(found)]


def migrate(database: Database, schema: str, folders: Sequence[Path], roles: Sequence[Role] = ()) -> list[str]:
    """Bring a schema up to date; returns the names of the migrations that were applied.

    Idempotent, and safe when several processes start at once.

    Raises
    ------
    ConfigurationError
        A migration was edited after it was applied.
    """
    if not re.fullmatch(r"[a-z_]+", schema):
        raise ConfigurationError(f"{schema!r} is no name for a schema")
    migrations = read_migrations(folders)
    with database.transaction() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('research-pacs migrate'))")
        for role in roles:
            ensure_role(cursor, role)
            _let_connect(cursor, role.name)
        cursor.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        _revoke_public(cursor)
        applied = _applied(cursor, schema)
        names = []
        for migration in migrations:
            if migration.number in applied:
                if applied[migration.number] != migration.sha256:
                    raise ConfigurationError(f"migration {migration.name} was edited after it had been applied")
                continue
            cursor.execute(migration.text.replace("{schema}", schema))
            cursor.execute(
                sql.SQL("INSERT INTO {}.migrations (number, name, sha256) VALUES (%s, %s, %s)").format(
                    sql.Identifier(schema)
                ),
                (migration.number, migration.name, migration.sha256),
            )
            names.append(migration.name)
    return names


def migrate_side(
    settings: CommonSettings, application: str, schema: Callable[[Database], list[str]], orthanc: Role
) -> None:
    """Bring one side up to date, and print what was done.

    Parameters
    ----------
    settings
        Of the role that owns the schema.
    application
        What PostgreSQL lists the connection as.
    schema
        Migrates the side's schema; returns the names of what was applied.
    orthanc
        The role of the side's Orthanc, whose database has the same name; without a password, neither is touched.
    """
    database = Database.from_settings(settings, application=application)
    for name in schema(database):
        print(f"applied {name}")
    if orthanc.password and ensure_orthanc_database(database, orthanc.name, orthanc):
        print(f"made the database {orthanc.name}")


def _let_connect(cursor: Cursor, role: str) -> None:
    cursor.execute("SELECT current_database()")
    (database,) = cursor.fetchone() or ("",)
    statement = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
    cursor.execute(statement.format(sql.Identifier(database), sql.Identifier(role)))


def _revoke_public(cursor: Cursor) -> None:
    """Nobody connects to the database or creates in ``public`` but who is granted it."""
    cursor.execute("SELECT current_database()")
    (database,) = cursor.fetchone() or ("",)
    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
    cursor.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")


def _applied(cursor: Cursor, schema: str) -> dict[int, str]:
    name = sql.Identifier(schema)
    cursor.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {}.migrations (number integer PRIMARY KEY, name text NOT NULL,"
            " sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        ).format(name)
    )
    cursor.execute(sql.SQL("SELECT number, sha256 FROM {}.migrations").format(name))
    return dict(cursor.fetchall())
