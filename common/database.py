"""PostgreSQL: a bounded pool of connections, transactions, and named statements.

Errors of the driver are wrapped once, here: what time may heal becomes :class:`DatabaseUnavailableError`, all
else :class:`StatementError`. PostgreSQL quotes values in its messages (``Key (original)=(…) already exists``),
so only the SQLSTATE and the constraint's name are passed on.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.extensions
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from common.errors import DatabaseUnavailableError, ResearchPacsError, StatementError

if TYPE_CHECKING:
    from common.settings import CommonSettings

__all__ = ["Connection", "Cursor", "Database", "load_statements", "wrap_driver_error"]

# Classes of SQLSTATE that time may heal: connection, resources, operator intervention, system; and
# serialization failure, deadlock; and 25006, 25P03: a standby that was the primary until now or is taken for it, and a
# transaction that stood idle for too long (PostgreSQL manual, Appendix A).
_TRANSIENT = re.compile(r"08|53|57P|58|25006|25P03|40001|40P01|55P03")


def wrap_driver_error(exc: psycopg2.Error) -> ResearchPacsError:
    """Translate an error of psycopg2 into one of ours, without the values that PostgreSQL quotes."""
    state = exc.pgcode or ""
    if isinstance(exc, psycopg2.InterfaceError) or (isinstance(exc, psycopg2.OperationalError) and not state):
        return DatabaseUnavailableError()
    if _TRANSIENT.match(state):
        return DatabaseUnavailableError(f"PostgreSQL cannot serve this now (SQLSTATE {state})")
    constraint = exc.diag.constraint_name or exc.diag.table_name or ""
    return StatementError(f"PostgreSQL refused a statement (SQLSTATE {state}{' ' if constraint else ''}{constraint})")


@cache
def load_statements(file: Path) -> Mapping[str, str]:
    """Read named statements from an SQL file: each begins with a line ``-- name: NAME``, comments follow."""
    parts = re.split(r"^-- name: *(\w+) *$", file.read_text(), flags=re.MULTILINE)
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


class Database:
    """A pool of at most ``max_connections`` connections, safe to share between threads.

    Parameters
    ----------
    dsn
        libpq connection parameters.
    max_connections
        A further transaction waits for a free connection.
    """

    def __init__(self, dsn: Mapping[str, str | int], *, max_connections: int = 8) -> None:
        self._dsn = {"connect_timeout": 10, "keepalives_idle": 30, "tcp_user_timeout": 30000, **dsn}
        self._free: list[Connection] = []
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(max_connections)

    @classmethod
    def from_settings(cls, settings: CommonSettings, *, application: str, max_connections: int = 8) -> Database:
        """Make the pool that a service's settings describe; connects on first use."""
        return cls(
            {
                "host": settings.database_host,
                "port": settings.database_port,
                "user": settings.database_user,
                "password": settings.database_password,
                "dbname": settings.database_name,
                "sslmode": settings.database_sslmode,
                "application_name": application,
            },
            max_connections=max_connections,
        )

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """Yield a cursor; commit at the end, roll back on any exception.

        Raises
        ------
        DatabaseUnavailableError
            PostgreSQL is away, or the conflict with another transaction goes away with time.
        StatementError
            PostgreSQL refused a statement.
        """
        with self._slots:
            connection = self._take()
            try:
                with connection, connection.cursor() as cursor:
                    yield cursor
            except psycopg2.Error as exc:
                error = wrap_driver_error(exc)
                if isinstance(error, DatabaseUnavailableError):
                    connection.close()  # after a fail-over its other end stays the wrong one
                raise error from exc
            finally:
                self._give_back(connection)

    def call(self, statement: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement by itself and return its rows, in a single round trip: there is no BEGIN and no COMMIT.

        Several statements, separated by semicolons, are one transaction to PostgreSQL too; the rows are the last one's.

        Raises
        ------
        DatabaseUnavailableError, StatementError
            As :meth:`transaction` does.
        """
        with self._slots:
            connection = self._take()
            try:
                with connection.cursor() as cursor:
                    cursor.execute(statement, values)
                    rows = cursor.fetchall()
            except psycopg2.Error as exc:
                connection.close()
                raise wrap_driver_error(exc) from exc
            finally:
                self._give_back(connection)
        return rows

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Yield a connection of its own in autocommit mode, outside the pool: for advisory locks and LISTEN."""
        connection = self._connect()
        try:
            connection.autocommit = True
            yield connection
        except psycopg2.Error as exc:
            raise wrap_driver_error(exc) from exc
        finally:
            connection.close()

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            while self._free:
                self._free.pop().close()

    def _take(self) -> Connection:
        with self._lock:
            if self._free:
                return self._free.pop()
        return self._connect()

    def _connect(self) -> Connection:
        try:
            connection: Connection = psycopg2.connect(**self._dsn)  # type: ignore[call-overload]  # libpq's own keywords
            # So that a statement by itself has no BEGIN; `with connection` begins a transaction all the same.
            connection.autocommit = True
            return connection
        except psycopg2.Error as exc:
            raise wrap_driver_error(exc) from exc

    def _give_back(self, connection: Connection) -> None:
        if connection.closed or connection.get_transaction_status() != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
            connection.close()
            return
        with self._lock:
            self._free.append(connection)
