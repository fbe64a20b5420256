"""A long-running process: stopping on signals, threads that must not end, child processes that are started again."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from common.errors import ResearchPacsError
from common.metrics import count_error
from common.retry import back_off

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_STOP_SECONDS = 12.0
_FIRST_SECONDS = 30.0
_KILLED_SECONDS = 1.0


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM and SIGINT set; the old handlers come back at the end."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        # It runs in the main thread, between any two of its steps: within those of an Event's own wait, which hold the
        # lock that set() takes, that thread would wait for itself.
        threading.Thread(target=stop.set, name="stop").start()

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start_thread(name: str, target: Callable[..., None], *arguments: object) -> threading.Thread:
    """Start a daemon thread."""
    thread = threading.Thread(target=target, name=name, args=arguments, daemon=True)
    thread.start()
    return thread


def repeat(name: str, work: Callable[[], object], stop: threading.Event, every: float) -> None:
    """Do something after and every so many seconds until told to stop; errors are logged, counted and slow it down."""
    failures = 0
    stop.wait(min(every, _FIRST_SECONDS))
    while not stop.is_set():
        try:
            work()
            failures = 0
        except ResearchPacsError as exc:
            failures += 1
            count_error(name, exc)
            logger.warning("not now", extra={"job": name, "error": exc.code})
        except Exception as exc:
            failures += 1
            count_error(name, exc)
            logger.exception("unexpected error", extra={"job": name})
        stop.wait(max(every, back_off(0.5, 30, failures - 1)) if failures else every)


@dataclass
class Child:
    """A process that is started again when it ends."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    start_at: float = field(default=0.0)


class Children:
    """Child processes; they are stopped when this process is, and end by themselves when it is killed.

    Each child's standard input is a pipe that nobody writes to: its end tells the child that its parent is gone
    (:func:`stop_with_parent`).
    """

    def __init__(self, commands: Mapping[str, Sequence[str]], environ: Mapping[str, str]) -> None:
        self._children = [Child(name, command) for name, command in commands.items()]
        self._environ = {**os.environ, **environ}

    def run(self, stop: threading.Event) -> None:
        """Keep the children running until told to stop, then stop them."""
        try:
            while not stop.is_set():
                for child in self._children:
                    self._keep(child)
                stop.wait(0.25)
        finally:
            self._stop()

    def _keep(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            logger.warning("a process ended", extra={"process_name": child.name, "code": child.process.returncode})
            child.failures = 0 if now - child.start_at > 60 else child.failures + 1
            # One that was killed had begun to work: over files that kill workers, others are waited for.
            longest = _KILLED_SECONDS if child.process.returncode < 0 else 30.0
            child.start_at = now + (back_off(0.2, longest, child.failures - 1) if child.failures else 0)
            if child.process.stdin:
                child.process.stdin.close()
            child.process = None
        if child.process is None and now >= child.start_at:
            child.start_at = now
            child.process = subprocess.Popen(child.command, env=self._environ, stdin=subprocess.PIPE)

    def _stop(self) -> None:
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin:
                process.stdin.close()


def stop_with_parent(stop: threading.Event) -> None:
    """Set the event when standard input ends: the parent that holds its other end is gone."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        stop.set()

    start_thread("parent", wait)
