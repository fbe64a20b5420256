"""Sessions of browsers, on the server's side: a cookie holds a random token, a row what it stands for."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.auth.identity import Identity
from common.auth.users import statements
from common.database import Database
from common.errors import NotFoundError


def digest(token: str) -> bytes:
    """Hash a random token; 256 bits of randomness need no salt and no slow hash."""
    return hashlib.sha256(token.encode()).digest()


@dataclass(frozen=True)
class Session:
    """A session that holds."""

    id: str
    identity: Identity
    created_at: datetime
    seen_at: datetime


@dataclass(frozen=True)
class SessionRow:
    """A session as its user and an administrator see it."""

    id: str
    user: str
    created_at: datetime
    seen_at: datetime
    address: str
    agent: str


class Sessions:
    """The sessions of one schema; one ends after ``idle`` without a request, and ``absolute`` after the login."""

    def __init__(self, database: Database, schema: str, *, idle: timedelta, absolute: timedelta) -> None:
        self._database = database
        self._sql = statements("sessions.sql", schema)
        self._limits = {"idle": idle, "absolute": absolute}

    def create(self, identity: Identity, *, address: str, agent: str) -> str:
        """Begin a session for a user in ``users``; returns the token for the cookie."""
        token = secrets.token_urlsafe(32)
        parameters = {"sha256": digest(token), "user": identity.user, "address": address, "agent": agent}
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["forget"], self._limits)
            cursor.execute(self._sql["create"], parameters)
        return token

    def find(self, token: str) -> Session | None:
        """Return what a cookie's token stands for, if it still holds; notes that it was seen, once a minute."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["find"], {"sha256": digest(token), **self._limits})
            row = cursor.fetchone()
            if row is None:
                return None
            identifier, user, groups, method, created_at, seen_at, stale = row
            if stale:
                cursor.execute(self._sql["touch"], {"id": identifier})
        return Session(identifier, Identity(user, frozenset(groups), method), created_at, seen_at)

    def revoke(self, session_id: str, *, user: str | None = None) -> None:
        """End a session; with ``user``, only if it is theirs.

        Raises
        ------
        NotFoundError
            There is no such session, or it is somebody else's.
        """
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["revoke"], {"id": session_id, "user": user})
            if not cursor.rowcount:
                raise NotFoundError("there is no such session")

    def list(self, user: str | None = None) -> list[SessionRow]:
        """Return the sessions that hold, of one user or of all, the most recently used first."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["list"], {"user": user, **self._limits})
            return [SessionRow(*row) for row in cursor.fetchall()]
