"""The tasks that a pool holds, and for how long by its own clock."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable

from common.tasks import Task


class HeldTasks:
    """Tasks with the ends of their leases; safe to share between threads.

    A worker that stood still for longer than a lease (its machine was suspended, PostgreSQL was away) may find that
    another has taken its task and settled it: it must not touch what that one stored.

    Parameters
    ----------
    lease_seconds
        See ``RPACS_TASK_LEASE_SECONDS``. A lease is counted from before it was asked for: here it ends first.
    """

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._tasks: dict[int, Task] = {}
        self._until: dict[int, float] = {}
        self._lock = threading.Lock()

    def take(self, tasks: Iterable[Task], asked_at: float) -> None:
        """Hold tasks that were claimed; ``asked_at`` is ``time.monotonic()`` before that."""
        with self._lock:
            for task in tasks:
                self._tasks[task.id], self._until[task.id] = task, asked_at + self._lease_seconds

    def renew(self, asked: Iterable[int], held: Iterable[int], asked_at: float) -> int:
        """Note which of the tasks that were asked for are held still; returns how many others were thought to be."""
        held = set(held)
        with self._lock:
            known = [each for each in asked if each in self._tasks]
            for each in known:
                self._until[each] = asked_at + self._lease_seconds if each in held else -math.inf
        return sum(each not in held for each in known)

    def drop(self, tasks: Iterable[Task]) -> None:
        """Hold tasks no more."""
        with self._lock:
            for task in tasks:
                self._tasks.pop(task.id, None)
                self._until.pop(task.id, None)

    def holds(self, task: Task) -> bool:
        """Tell whether nobody else can have a task."""
        return time.monotonic() < self._until.get(task.id, -math.inf)

    def tasks(self) -> list[Task]:
        """Return what is held."""
        with self._lock:
            return list(self._tasks.values())

    def __bool__(self) -> bool:
        return bool(self._tasks)
