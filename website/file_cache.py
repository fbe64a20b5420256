"""Files of the research Orthanc that pictures are being made of: few, bounded, never stale.

Stepping through the frames of an instance would otherwise fetch its file once per frame. A file is kept under its
instance *and* MD5, so that a replaced instance is never shown from an old copy.
"""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

IN_MEMORY = 8 << 20
"""Larger files go to an unlinked temporary file."""


@dataclass
class _Entry:
    file: IO[bytes]
    size: int
    lock: threading.Lock = field(default_factory=threading.Lock)


class FileCache:
    """Keep the files used last, up to ``limit`` bytes in all. Safe to share between threads."""

    def __init__(self, limit: int = 256 << 20) -> None:
        self._limit = limit
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def open(self, instance_id: str, md5: str, fetch: Callable[[], Iterable[bytes]]) -> Iterator[IO[bytes]]:
        """Yield the file, fetched where it is not here; others who want the same file wait."""
        entry = self._find((instance_id, md5)) or self._add((instance_id, md5), fetch())
        with entry.lock:
            entry.file.seek(0)
            yield entry.file

    def _find(self, key: tuple[str, str]) -> _Entry | None:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def _add(self, key: tuple[str, str], chunks: Iterable[bytes]) -> _Entry:
        file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  # closed with its entry
        entry = _Entry(file, sum(file.write(chunk) for chunk in chunks))
        weakref.finalize(entry, file.close)
        with self._lock:
            self._entries[key] = entry
            # An entry pushed out here lives on until the last reader lets go of it; then its file is gone.
            while len(self._entries) > 1 and sum(each.size for each in self._entries.values()) > self._limit:
                self._entries.popitem(last=False)
        return entry
