"""The audit trail of DICOMweb: two rows for each user, credential, study and minute, not for each of a thousand frames.

The first is committed before the minute's first byte leaves, whichever process serves it; the second says what was
read, once the minute is over and every answer that began in it has ended, in all processes.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.audit import AuditTrail
from common.database import Database, load_statements
from common.errors import ResearchPacsError

logger = logging.getLogger(__name__)
_SQL = load_statements(Path(__file__).with_name("minutes.sql"))
_LOOK_SECONDS = 5.0
_SWEEP_SECONDS = 3600.0


@dataclass(frozen=True)
class Key:
    """What two rows are about; ``minute`` is its first second since 1970."""

    user: str
    credential: str
    study: str
    minute: int


@dataclass
class _Minute:
    counts: Counter[str] = field(default_factory=Counter)
    open: int = 0


class MinuteAudit:
    """Writes the two rows. Safe to share between threads; its own thread starts on first use.

    Parameters
    ----------
    clock
        Seconds since 1970.
    """

    def __init__(self, database: Database, audit: AuditTrail, *, clock: Callable[[], float] = time.time) -> None:
        self._database, self._audit, self._clock = database, audit, clock
        self._minutes: dict[Key, _Minute] = {}
        self._lock = threading.Lock()
        # One thread at a time waits for the commit of a first row, so that one connection of the pool is enough.
        self._beginning = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, user: str, credential: str, study: str, entry: Mapping[str, Any]) -> Key:
        """Note that an answer begins; returns once the minute's first row is committed.

        Raises
        ------
        DatabaseUnavailableError, StatementError
            It cannot be committed: the request fails.
        """
        key = Key(user, credential, study, int(self._clock() // 60) * 60)
        if self._join(key):
            return key
        with self._beginning:
            if not self._join(key):
                self._write_first(key, entry)
                with self._lock:
                    self._minutes[key] = _Minute(open=1)
                self._start()
        return key

    def end(self, key: Key, counts: Mapping[str, int]) -> None:
        """Note that an answer ended, and what it held."""
        with self._lock:
            minute = self._minutes.get(key)
            if minute is not None:  # at the end of the process, answers may be cut off
                minute.counts.update(counts)
                minute.open -= 1

    def complete(self, *, everything: bool = False) -> None:
        """Write the second rows of minutes that are over; at the end of the process, of all."""
        now = self._clock()
        with self._lock:
            over = [
                key for key, each in self._minutes.items() if everything or (not each.open and key.minute + 60 <= now)
            ]
            taken = {key: self._minutes.pop(key) for key in over}
        for key, minute in taken.items():
            self._tell(key, minute.counts)

    def sweep(self) -> None:
        """Complete the rows of processes that were killed."""
        with self._database.transaction() as cursor:
            cursor.execute(_SQL["abandoned"])
            for entry, counts in cursor.fetchall():
                self._audit.append_later({**entry, "phase": "end", "counts": counts, "incomplete": True})

    def close(self) -> None:
        """Write what waits, and stop; before the audit trail is closed."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(_LOOK_SECONDS)
        self.complete(everything=True)

    def _join(self, key: Key) -> bool:
        with self._lock:
            minute = self._minutes.get(key)
            if minute is None:
                return False
            minute.open += 1
            return True

    def _write_first(self, key: Key, entry: Mapping[str, Any]) -> None:
        full = {**entry, "action": "dicomweb", "objects": [key.study], "minute": key.minute}
        with self._database.transaction() as cursor:
            # Another process that comes to the same minute waits here until the row of the first is committed.
            cursor.execute(_SQL["begin"], {**vars(key), "entry": json.dumps(full, default=list)})
            (first,) = cursor.fetchone() or (True,)
            if first:
                self._audit.append({**full, "phase": "begin"})

    def _tell(self, key: Key, counts: Counter[str]) -> None:
        try:
            with self._database.transaction() as cursor:
                cursor.execute(_SQL["told"], vars(key))
                (told,) = cursor.fetchone() or ({},)
                total = Counter(told) + counts
                cursor.execute(_SQL["tell"], {**vars(key), "counts": json.dumps(total)})
                holders, entry = cursor.fetchone() or (1, {})
                if not holders:
                    cursor.execute(_SQL["forget"], vars(key))
                    self._audit.append_later({**entry, "phase": "end", "counts": dict(total)})
        except ResearchPacsError as exc:
            logger.error("the end of a minute of DICOMweb could not be written", extra={"error": exc.code})
            with self._lock:  # tried again at the next look
                self._minutes.setdefault(key, _Minute()).counts.update(counts)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="dicomweb-audit", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        swept = 0.0
        while not self._stopped.wait(_LOOK_SECONDS):
            self.complete()
            if time.monotonic() - swept > _SWEEP_SECONDS:
                swept = time.monotonic()
                try:
                    self.sweep()
                except ResearchPacsError as exc:
                    logger.error("abandoned minutes of DICOMweb could not be written", extra={"error": exc.code})
