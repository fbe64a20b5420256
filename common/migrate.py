"""Numbered migrations of one schema, and the roles that may use it.

The migrations of a schema are the files ``NNNN_name.sql`` of one or more folders, applied in order of their
numbers, each in a transaction, under an advisory lock; what was applied is kept with its SHA-256, so that an
edited migration is noticed. ``{schema}`` in a file stands for the schema's name. Numbers below 1000 belong to
``common/sql`` (tables that both sides have), the others to the side.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg2 import sql

from common.database import Cursor, Database
from common.errors import ConfigurationError

COMMON_FOLDER = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class Role:
    """A login role of a service; without a password an existing role is left as it is, a new one cannot log in."""

    name: str
    password: str | None = None


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


def ensure_role(cursor: Cursor, role: Role) -> None:
    """Make a role if it is not there, and give it its password if there is one."""
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role.name,))
    name = sql.Identifier(role.name)
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(name))
    if role.password is not None:
        cursor.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD %s").format(name), (role.password,))


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
