"""Everyone who logged in, and the groups that the last verified login told.

Groups are known only from a login. API tokens and running jobs use the kept ones while they are young enough
(:meth:`Users.groups`); where a directory can be asked at any time, it is asked instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from common.auth.identity import Directory, Identity
from common.database import Cursor, Database, load_statements
from common.errors import UnauthenticatedError

_NOTED_FOR = timedelta(minutes=5)


def statements(file: str, schema: str) -> Mapping[str, str]:
    """Read the named statements of a file of this package for one schema."""
    loaded = load_statements(Path(__file__).with_name(file))
    return {name: text.replace("{schema}", schema) for name, text in loaded.items()}


@dataclass(frozen=True)
class User:
    """One row of ``users``."""

    name: str
    groups: tuple[str, ...]
    method: str
    verified_at: datetime
    disabled_at: datetime | None
    disabled_by: str | None


class Users:
    """The table of users of one schema.

    Parameters
    ----------
    max_age
        Groups from a login longer ago are not used any more.
    directory
        Asked for groups instead, where there is one.
    """

    def __init__(
        self, database: Database, schema: str, *, max_age: timedelta, directory: Directory | None = None
    ) -> None:
        self._database = database
        self._sql = statements("users.sql", schema)
        self._max_age = max_age
        self._directory = directory

    def record_login(self, identity: Identity) -> None:
        """Keep the groups that a verified login told.

        Raises
        ------
        UnauthenticatedError
            An administrator disabled the user.
        """
        with self._database.transaction() as cursor:
            cursor.execute(
                self._sql["record_login"],
                {"name": identity.user, "groups": sorted(identity.groups), "method": identity.method},
            )
            (disabled,) = cursor.fetchone() or (True,)
        if disabled:
            raise UnauthenticatedError("the user is disabled")

    def note_login(self, identity: Identity) -> None:
        """Keep groups that come with every request, verified each time; written when they change or grow old.

        Raises
        ------
        UnauthenticatedError
            An administrator disabled the user.
        """
        user = self.find(identity.user)
        if user is not None and user.disabled_at is not None:
            raise UnauthenticatedError("the user is disabled")
        known = user is not None and frozenset(user.groups) == identity.groups
        if user is None or not known or datetime.now(UTC) - user.verified_at > _NOTED_FOR:
            self.record_login(identity)

    def find(self, name: str) -> User | None:
        """Return a user who logged in at least once."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["find"], {"name": name})
            row = cursor.fetchone()
        return _user(row) if row else None

    def list(self) -> list[User]:
        """Return every user by name."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["list"])
            return [_user(row) for row in cursor.fetchall()]

    def groups(self, name: str) -> frozenset[str]:
        """Return the groups by which somebody is judged without a fresh login: for API tokens and jobs.

        Raises
        ------
        UnauthenticatedError
            The user is unknown or disabled, or the login that told the groups is too long ago ("log in again").
        """
        user = self.find(name)
        if user is None or user.disabled_at is not None:
            raise UnauthenticatedError("the user is disabled")
        if self._directory is not None:
            return self._directory.groups(name)
        if datetime.now(UTC) - user.verified_at > self._max_age:
            raise UnauthenticatedError("the last login is too long ago: log in again")
        return frozenset(user.groups)

    def disable(self, name: str, *, by: str) -> None:
        """Refuse a user from now on, and revoke their sessions and tokens; jobs ask :meth:`groups` and stop."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["disable"], {"name": name, "by": by})
            self._revoke(cursor, name)

    def enable(self, name: str) -> None:
        """Let a user log in again."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["enable"], {"name": name})

    def revoke_everything(self, name: str) -> None:
        """End a user's sessions and tokens."""
        with self._database.transaction() as cursor:
            self._revoke(cursor, name)

    def _revoke(self, cursor: Cursor, name: str) -> None:
        for statement in ("revoke_sessions", "revoke_tokens"):
            cursor.execute(self._sql[statement], {"name": name})


def _user(row: tuple[str, list[str], str, datetime, datetime | None, str | None]) -> User:
    name, groups, method, verified_at, disabled_at, disabled_by = row
    return User(name, tuple(groups), method, verified_at, disabled_at, disabled_by)
