"""Room in memory for large instances: as many at a time as fit, whatever the number of threads.

Four views of a tomosynthesis come together, and would take a worker's memory together: the kernel would kill it, again
and again, and the instances would fail.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from common.memory import memory_limit

SMALL = 64 << 20
"""Bytes up to which an instance takes no room: as many as there are threads always fit."""
_TIMES, _OWN = 3, 300 << 20
"""How many times its size an instance takes at most (2.1 by bench/memory.py; more where pixels are cleaned), and what a
process takes without."""


class Room:
    """What instances may take together; safe to share between threads.

    Parameters
    ----------
    size
        Bytes of instances that fit at the same time.
    """

    def __init__(self, size: int) -> None:
        self._size, self._taken = size, 0
        self._changed = threading.Condition()

    @classmethod
    def of_process(cls, processes: int) -> Room:
        """Return the room in a process that shares the machine's or the container's memory with others."""
        return cls((memory_limit() // processes - _OWN) // _TIMES)

    @contextmanager
    def take(self, size: int) -> Iterator[None]:
        """Wait until so many bytes fit beside what is there, or nothing is there, and hold them."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + size <= self._size)
            self._taken += size
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()
