"""The audit trail: rows that a service may only append, chained by HMAC so that a change, gap or cut tail shows.

Row *n* carries ``HMAC-SHA-256(key, n ‖ MAC of row n-1 ‖ entry)``. Who can write the table but lacks the key cannot
forge a row; who removes the last rows is betrayed by the *head* (number and MAC of the last row) that every process
writes to its log each minute and at its stop. One thread per process appends, all waiting entries in one
transaction, so a commit is shared by the requests that wait for it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg2 import sql
from psycopg2.extras import execute_values

from common.database import Cursor, Database
from common.errors import DatabaseUnavailableError, RefusedError, ResearchPacsError

logger = logging.getLogger(__name__)

_START = bytes(32)
_BATCH = 200
_HEAD_SECONDS = 60.0
_WAIT_SECONDS = 30.0
_MAX_WAITING = 10_000


@dataclass(frozen=True)
class Head:
    """The last row: its number and MAC. Written ``12:6f1e…``."""

    seq: int
    mac: bytes

    def __str__(self) -> str:
        return f"{self.seq}:{self.mac.hex()}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read what ``str`` wrote; raises ``ValueError`` on anything else."""
        seq, _, mac = text.partition(":")
        parsed = cls(int(seq), bytes.fromhex(mac))
        if parsed.seq < 0 or len(parsed.mac) != len(_START):
            raise ValueError("a head is NUMBER:MAC, as the log shows it")
        return parsed


def chain(key: str, seq: int, previous: bytes, entry: str) -> bytes:
    """Return the MAC of a row, 32 bytes."""
    return hmac.new(key.encode(), seq.to_bytes(8, "big") + previous + entry.encode(), hashlib.sha256).digest()


def serialise(entry: Mapping[str, Any]) -> str:
    """Write an entry as JSON text with the time; characters that PostgreSQL's json refuses are replaced."""
    stamped = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry}
    return json.dumps(_clean(stamped), ensure_ascii=False, separators=(",", ":"))


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [_clean(item) for item in items]
    return value


@dataclass
class _Waiting:
    entry: str
    done: Future[None] | None


class AuditTrail:
    """Appends to the audit table of one schema; safe to share between threads, its own thread starts on first use."""

    def __init__(self, database: Database, schema: str, key: str) -> None:
        self._database = database
        self._schema = schema
        self._key = key
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(_MAX_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        # Entries that nobody waits for, while PostgreSQL is away; only the writing thread touches them.
        self._kept: list[_Waiting] = []

    def append(self, entry: Mapping[str, Any]) -> None:
        """Append an entry and return once it is committed: no audit row, no data.

        Raises
        ------
        DatabaseUnavailableError, StatementError
            It is not committed.
        """
        done: Future[None] = Future()
        self._put(_Waiting(serialise(entry), done))
        try:
            done.result(_WAIT_SECONDS)
        except TimeoutError as exc:
            raise DatabaseUnavailableError("the audit trail cannot be written") from exc

    def append_later(self, entry: Mapping[str, Any]) -> None:
        """Append an entry soon, without waiting for the commit."""
        self._put(_Waiting(serialise(entry), None))

    def head(self) -> Head:
        """Return the last row's number and MAC, as PostgreSQL has them."""
        with self._database.transaction() as cursor:
            return _read_head(cursor, self._schema)

    def close(self) -> None:
        """Append what waits, write the head to the log, and stop."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join(_WAIT_SECONDS)

    def _put(self, waiting: _Waiting) -> None:
        with self._lock:
            if self._closed:
                raise RefusedError("the audit trail is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
                self._thread.start()
        try:
            self._queue.put(waiting, timeout=_WAIT_SECONDS)
        except queue.Full as exc:
            raise DatabaseUnavailableError("the audit trail cannot be written") from exc

    def _run(self) -> None:
        due = time.monotonic() + _HEAD_SECONDS
        running = True
        while running:
            batch, running = self._collect(due)
            if batch or self._kept:
                self._write([*self._kept, *batch])
            if not running or time.monotonic() >= due:
                self._log_head()
                due = time.monotonic() + _HEAD_SECONDS

    def _collect(self, due: float) -> tuple[list[_Waiting], bool]:
        """Wait for entries until the head is due; return them, and False once the trail is closed."""
        batch: list[_Waiting] = []
        try:
            waiting = self._queue.get(timeout=max(due - time.monotonic(), 0.01))
            while waiting is not None:
                batch.append(waiting)
                if len(batch) == _BATCH:
                    return batch, True
                waiting = self._queue.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _write(self, batch: list[_Waiting]) -> None:
        try:
            with self._database.transaction() as cursor:
                _append(cursor, self._schema, self._key, [waiting.entry for waiting in batch])
        except ResearchPacsError as exc:
            logger.error("audit entries could not be written", extra={"entries": len(batch), "error": exc.code})
            for waiting in batch:
                if waiting.done is not None:
                    waiting.done.set_exception(exc)
            # The requests that waited fail; what nobody waits for, the ends of requests, is tried again.
            self._kept = [waiting for waiting in batch if waiting.done is None][-_MAX_WAITING:]
            return
        self._kept = []
        for waiting in batch:
            if waiting.done is not None:
                waiting.done.set_result(None)

    def _log_head(self) -> None:
        try:
            logger.info("audit head %s", self.head())
        except ResearchPacsError as exc:
            logger.error("the audit head could not be read", extra={"error": exc.code})


def _append(cursor: Cursor, schema: str, key: str, entries: Iterable[str]) -> None:
    # One appender at a time: each row needs the MAC of the one before it.
    cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"{schema}.audit",))
    head = _read_head(cursor, schema)
    rows = []
    for entry in entries:
        head = Head(head.seq + 1, chain(key, head.seq + 1, head.mac, entry))
        rows.append((head.seq, entry, head.mac))
    statement = sql.SQL("INSERT INTO {}.audit (seq, entry, mac) VALUES %s").format(sql.Identifier(schema))
    execute_values(cursor, statement, rows)


def _read_head(cursor: Cursor, schema: str) -> Head:
    cursor.execute(sql.SQL("SELECT seq, mac FROM {}.audit ORDER BY seq DESC LIMIT 1").format(sql.Identifier(schema)))
    row = cursor.fetchone()
    return Head(row[0], bytes(row[1])) if row else Head(0, _START)


@dataclass(frozen=True)
class Verification:
    """What a verification found; ``problems`` is empty for a whole trail."""

    rows: int
    head: Head
    problems: tuple[str, ...]


def verify(database: Database, schema: str, key: str, heads: Iterable[Head] = ()) -> Verification:
    """Recompute the chain from the first row.

    Parameters
    ----------
    heads
        Heads from the log; a row that is missing or has another MAC is a problem, even at the end of the table.
    """
    wanted: dict[int, list[Head]] = {}
    for head in heads:
        wanted.setdefault(head.seq, []).append(head)
    problems: list[str] = []
    last, rows = Head(0, _START), 0
    for seq, entry, mac in _rows(database, schema):
        rows += 1
        if seq != last.seq + 1:
            problems.append(f"gap: rows {last.seq + 1} to {seq - 1} are missing")
        elif not hmac.compare_digest(chain(key, seq, last.mac, entry), mac):
            problems.append(f"row {seq} was changed, or the key is another")
        last = Head(seq, mac)
        problems += [
            f"row {seq} is not the one whose head was logged" for head in wanted.pop(seq, []) if head.mac != mac
        ]
    problems += [f"row {seq} is missing: its head was logged" for seq in sorted(wanted) if seq]
    return Verification(rows, last, tuple(problems))


def _rows(database: Database, schema: str) -> Iterator[tuple[int, str, bytes]]:
    """Read the table in pages, so that a long trail needs little memory."""
    statement = sql.SQL("SELECT seq, entry::text, mac FROM {}.audit WHERE seq > %s ORDER BY seq LIMIT 5000").format(
        sql.Identifier(schema)
    )
    seq = -1
    while True:
        with database.transaction() as cursor:
            cursor.execute(statement, (seq,))
            page = cursor.fetchall()
        if not page:
            return
        for seq, entry, mac in page:
            yield seq, entry, bytes(mac)
