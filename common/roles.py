"""Login roles of PostgreSQL: one for each service."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2 import sql

from common.database import Cursor


@dataclass(frozen=True)
class Role:
    """A login role of a service; without a password an existing role is left as it is, a new one cannot log in."""

    name: str
    password: str | None = None


def ensure_role(cursor: Cursor, role: Role) -> None:
    """Make a role if it is not there, and give it its password if there is one."""
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role.name,))
    name = sql.Identifier(role.name)
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(name))
    if role.password is not None:
        cursor.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD %s").format(name), (role.password,))
