"""The loop around the tasks of one kind: claim some, work, write down how they ended, and so on until told to stop.

A pool's threads claim batches of their own, so that one thread's download runs beside another's computing. One more
thread renews the leases of everything that is held. What killed workers before is run alone, while the pool holds
nothing else, so that it takes no innocent task with it.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from common.errors import DatabaseUnavailableError, ResearchPacsError
from common.held import HeldTasks
from common.metrics import LOST_LEASES, WAITED, count_error, count_result
from common.restraint import Restraint
from common.retry import back_off, is_transient
from common.tasks import Result, Task, TaskQueue

logger = logging.getLogger(__name__)

IDLE_SECONDS = 2.0
"""A worker asks for work at least so often, should an announcement be lost."""

BETWEEN_SUSPECTS = 0.2

CLAIM_SECONDS = 1.0
"""A thread claims about so much work at a time: where an instance takes long, the others are left to other threads."""

GRACE_SECONDS = 8.0
"""A stopping pool waits so long for what is in work, then gives it back."""


class Handler(Protocol):
    """What works on the tasks of one kind."""

    kind: str
    batch: int

    def work(self, batch: Batch) -> list[Result]:
        """Work on a batch; return a result for each task that was begun."""


@dataclass
class Batch:
    """Some tasks that a thread holds; ``holds`` tells whether it still does, as far as this process can know."""

    queue: TaskQueue
    worker: str
    tasks: Sequence[Task]
    stopping: Callable[[], bool]
    holds: Callable[[Task], bool] = lambda task: True

    def each(self, work: Callable[[Task], Result]) -> Iterator[Result]:
        """Work on task by task, each on its own; stop early when the worker has to, or a peer is away."""
        for task in self.tasks:
            if self.stopping():
                return
            result, error = self.attempt(task, work)
            yield result
            if error is not None and is_transient(error):
                return

    def attempt(self, task: Task, work: Callable[[Task], Result]) -> tuple[Result, BaseException | None]:
        """Work on one task; an error becomes what follows from it."""
        WAITED.labels(task.kind).observe(task.waited)
        try:
            return work(task), None
        except ResearchPacsError as exc:
            error: Exception = exc
            logger.info("task not done", extra={"task": task.id, "kind": task.kind, "error": exc.code})
        except Exception as exc:
            error = exc
            logger.exception("unexpected error in a task", extra={"task": task.id, "kind": task.kind})
        count_error(task.kind, error)
        return self.queue.result_of_error(task, error), error


class Pool:
    """Threads that work on the tasks of one kind.

    Parameters
    ----------
    threads
        Number of batches worked on side by side.
    stop
        Set it to stop the pool.
    """

    def __init__(self, queue: TaskQueue, handler: Handler, *, threads: int, stop: threading.Event) -> None:
        self.queue, self._handler, self._stop = queue, handler, stop
        self.worker = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._held = HeldTasks(queue.lease_seconds)
        self._restraint = Restraint()
        self._pace = CLAIM_SECONDS / 4  # seconds that a task takes, smoothed
        self._claiming = 0  # threads that may be about to hold more
        self._lock = threading.Lock()
        self._wake = threading.Condition()
        self._announcements = 0
        self._suspect = threading.Event()  # one is due: nobody claims anything else
        names = {"lease": self._keep_leases, "listen": self._listen, "suspects": self._run_suspects}
        self._helpers = [
            threading.Thread(target=target, name=f"{handler.kind}-{name}", daemon=True)
            for name, target in names.items()
        ]
        self._threads = [
            threading.Thread(target=self._run, name=f"{handler.kind}-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in [*self._helpers, *self._threads]:
            thread.start()

    def join(self) -> None:
        """Wait until the pool has stopped; what takes longer than the grace is given back."""
        while not self._stop.wait(1):
            if not any(thread.is_alive() for thread in self._threads):
                raise RuntimeError("all threads of a worker ended")
        with self._wake:
            self._wake.notify_all()
        deadline = time.monotonic() + GRACE_SECONDS
        for thread in self._threads:
            thread.join(max(0, deadline - time.monotonic()))
        self._give_back(self._held.tasks())

    # ------------------------------------------------------------------------------------------------- the loop
    def _run(self) -> None:
        results: list[Result] = []
        failures = 0
        while not self._stop.is_set() or results:
            seen = self._announcements
            try:
                tasks = self._exchange(results)
                failures = 0
            except ResearchPacsError as exc:
                failures += 1
                results = self._cannot_write(results, exc, failures)
                continue
            results = []
            if tasks:
                results = self._work(tasks)
                self._restraint.hold_back(results, self._stop)
            elif not self._stop.is_set():
                self._await_announcement(seen)

    def _exchange(self, results: list[Result]) -> list[Task]:
        """Write down how tasks ended and take others, in one round trip."""
        with self._lock:
            limit = 0 if self._stop.is_set() or self._suspect.is_set() else self._batch()
            self._claiming += 1
        asked_at = time.monotonic()
        try:
            tasks = self.queue.exchange(results, self._handler.kind, self.worker, limit) if results or limit else []
            self._held.drop([result.task for result in results])
            self._held.take(tasks, asked_at)
        finally:
            with self._lock:
                self._claiming -= 1
        for result in results:
            count_result(result)
        return tasks

    def _batch(self) -> int:
        return max(1, min(self._handler.batch, int(CLAIM_SECONDS / max(self._pace, 1e-6))))

    def _cannot_write(self, results: list[Result], error: ResearchPacsError, failures: int) -> list[Result]:
        """Keep results while the database is away; give them up when it refuses them, or when stopping."""
        count_error("queue", error)
        logger.warning("the task queue cannot be used now", extra={"error": error.code})
        self._stop.wait(back_off(0.25, 10, failures - 1))
        if isinstance(error, DatabaseUnavailableError) and not (self._stop.is_set() and failures > 3):
            return results
        self._held.drop([result.task for result in results])
        return []

    def _work(self, tasks: list[Task]) -> list[Result]:
        batch = Batch(self.queue, self.worker, tasks, self._stop.is_set, self._held.holds)
        started = time.monotonic()
        try:
            results = self._handler.work(batch)
            self._pace += 0.25 * ((time.monotonic() - started) / max(1, len(results)) - self._pace)
        except ResearchPacsError as exc:  # of the batch, not of a task: the database, mostly
            count_error(self._handler.kind, exc)
            logger.warning("a batch is given back", extra={"kind": self._handler.kind, "error": exc.code})
            return [self.queue.result_of_error(task, exc) for task in tasks]
        except Exception as exc:
            count_error(self._handler.kind, exc)
            logger.exception("unexpected error in a batch", extra={"kind": self._handler.kind})
            return [self.queue.result_of_error(task, exc) for task in tasks]
        begun = {result.task.id for result in results}
        self._give_back([task for task in tasks if task.id not in begun])
        return results

    def _give_back(self, tasks: list[Task]) -> None:
        if not tasks:
            return
        try:
            self.queue.release(self.worker, tasks)
        except ResearchPacsError as exc:  # the leases will end by themselves
            count_error("queue", exc)
        self._held.drop(tasks)

    # -------------------------------------------------------------------------------------------------- helpers
    def _await_announcement(self, seen: int) -> None:
        with self._wake:
            if self._announcements == seen and not self._stop.is_set():
                self._wake.wait(IDLE_SECONDS)

    def _listen(self) -> None:
        """Wake the threads when new tasks are announced."""
        failures = 0
        while not self._stop.is_set():
            try:
                self._listen_once()
                failures = 0
            except ResearchPacsError as exc:
                failures += 1
                count_error("listen", exc)
                self._stop.wait(back_off(0.5, 10, failures - 1))

    def _listen_once(self) -> None:
        with self.queue.database.connection() as connection:
            with connection.cursor() as cursor:
                cursor.execute(f'LISTEN "{self.queue.channel}"')
            self._announce()  # what was announced while nobody listened
            while not self._stop.is_set():
                if select.select([connection], [], [], IDLE_SECONDS)[0]:
                    connection.poll()
                    connection.notifies.clear()
                    self._announce()

    def _announce(self) -> None:
        with self._wake:
            self._announcements += 1
            self._wake.notify_all()

    def _keep_leases(self) -> None:
        """Renew the leases of what is held, and queue what others lost."""
        while not self._stop.wait(max(1.0, self.queue.lease_seconds / 4)):
            try:
                self._renew_leases()
                queued, failed = self.queue.reap()
                LOST_LEASES.labels(self.queue.schema).inc(queued + failed)
            except ResearchPacsError as exc:
                count_error("lease", exc)
            except Exception as exc:  # without this thread all that is held would be lost
                count_error("lease", exc)
                logger.exception("unexpected error while leases are renewed")

    def _renew_leases(self) -> None:
        asked_at, ids = time.monotonic(), [task.id for task in self._held.tasks()]
        if ids and (lost := self._held.renew(ids, self.queue.heartbeat(self.worker, ids), asked_at)):
            logger.warning("leases were lost", extra={"tasks": lost})

    def _run_suspects(self) -> None:
        """Run what killed workers before, alone."""
        pause = IDLE_SECONDS
        while not self._stop.wait(pause):
            pause = IDLE_SECONDS
            try:
                if not self.queue.count_suspects(self._handler.kind):
                    continue
                self._suspect.set()
                while (self._held or self._claiming) and not self._stop.wait(0.05):
                    continue
                if not self._stop.is_set():
                    self._run_suspect()
                    pause = BETWEEN_SUSPECTS  # in which the others come to their turn
            except ResearchPacsError as exc:
                count_error("suspects", exc)
            finally:
                self._suspect.clear()

    def _run_suspect(self) -> None:
        asked_at = time.monotonic()
        tasks = self.queue.claim_suspect(self._handler.kind, self.worker)
        self._held.take(tasks, asked_at)
        if tasks:
            results = self._work(tasks)
            self.queue.exchange(results, self._handler.kind, self.worker, 0)
            self._held.drop(tasks)
            for result in results:
                count_result(result)
