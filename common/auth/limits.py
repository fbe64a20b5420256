"""Rate limits: how often something happened within a window, counted in PostgreSQL for all replicas together."""

from __future__ import annotations

from datetime import timedelta

from common.auth.users import statements
from common.database import Database
from common.errors import RefusedError


class TooManyError(RefusedError):
    """Too many requests; ``retry_after`` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many requests: try again in {retry_after} s")
        self.retry_after = retry_after


class RateLimit:
    """At most ``limit`` times per ``window`` and key."""

    def __init__(self, database: Database, schema: str, *, name: str, limit: int, window: timedelta) -> None:
        self._database = database
        self._sql = statements("limits.sql", schema)
        self._name, self._limit, self._window = name, limit, window

    def hit(self, key: str) -> None:
        """Count one; raises :class:`TooManyError` beyond the limit."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["hit"], {"key": self._key(key), "window": self._window})
            count, seconds = cursor.fetchone() or (0, 0)
        if count > self._limit:
            raise TooManyError(max(seconds, 1))

    def clear(self, key: str) -> None:
        """Begin anew for a key."""
        with self._database.transaction() as cursor:
            cursor.execute(self._sql["clear"], {"key": self._key(key)})

    def _key(self, key: str) -> str:
        return f"{self._name}:{key[:200]}"
