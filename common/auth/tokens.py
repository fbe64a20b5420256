"""API tokens for scripts: scoped, expiring, shown once, stored as a hash."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from common.auth.sessions import digest
from common.auth.users import statements
from common.database import Database
from common.errors import NotFoundError, UnauthenticatedError
from common.log import TOKEN_PREFIX

# A fixed beginning lets secret scanners find tokens in repositories, and us cut them out of logs.
PREFIX = TOKEN_PREFIX


@dataclass(frozen=True)
class ApiToken:
    """A token that holds, without its secret; ``actions`` is the subset of its owner's actions that it carries."""

    id: str
    user: str
    label: str
    actions: frozenset[str]
    purpose: str | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class ApiTokens:
    """The API tokens of one schema."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._sql = statements("tokens.sql", schema)

    def create(
        self, user: str, *, label: str, actions: Iterable[str], lifetime: timedelta, purpose: str | None = None
    ) -> tuple[str, ApiToken]:
        """Make a token; its secret is returned here and never again."""
        secret = PREFIX + secrets.token_urlsafe(32)
        parameters = {
            "sha256": digest(secret),
            "user": user,
            "label": label,
            "actions": sorted(actions),
            "purpose": purpose,
            "lifetime": lifetime,
        }
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["create"], parameters)
            row = cursor.fetchone()
        return secret, _token(row)

    def verify(self, secret: str) -> ApiToken:
        """Return the token that a secret belongs to, and note its use.

        Raises
        ------
        UnauthenticatedError
            There is none, it expired, or it was revoked.
        """
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["find"], {"sha256": digest(secret)})
            row = cursor.fetchone()
            if row is None:
                raise UnauthenticatedError("the API token is unknown, expired or revoked")
            token = _token(row)
            cursor.execute(self._sql["touch"], {"id": token.id})
        return token

    def list(self, user: str | None = None) -> list[ApiToken]:
        """Return the tokens that hold, of one user or of all, the newest first."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["list"], {"user": user})
            return [_token(row) for row in cursor.fetchall()]

    def revoke(self, token_id: str, *, user: str | None = None) -> None:
        """End a token; with ``user``, only if it is theirs.

        Raises
        ------
        NotFoundError
            There is no such token, or it is somebody else's.
        """
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["revoke"], {"id": token_id, "user": user})
            if not cursor.rowcount:
                raise NotFoundError("there is no such token")


def _token(row: Any) -> ApiToken:
    identifier, user, label, actions, purpose, created_at, expires_at, last_used_at = row
    return ApiToken(str(identifier), user, label, frozenset(actions), purpose, created_at, expires_at, last_used_at)
