"""Sending a job's instances side by side, as fast as both ends take them, in bounded memory.

::

    list ──► a short queue ──► senders ──► results ──► ticked off in batches
             (back-pressure)   retries                 (progress, wishes)

What a peer that is away costs is time: each sender tries an object again with back-off. When that does not help, the
transfer ends with the error, and the job is tried again later from where it stands.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from common.errors import ResearchPacsError
from common.metrics import BYTES, count_error, timed
from common.retry import back_off, is_transient
from website.exports.bucket import Bucket, BucketRefusedError
from website.exports.items import Item, Items, Outcome
from website.exports.objects import ObjectMaker
from website.exports.store import KIND
from website.index import IndexDocument

logger = logging.getLogger(__name__)

TRIES = 7
"""Of one instance before the job waits: about a minute."""
_FIRST, _LONGEST = 0.5, 20.0
_BATCH, _BATCH_SECONDS = 200, 0.5
_CONTROL_SECONDS = 1.0
_GATHER_SECONDS = 0.05
_RATE_SECONDS = 15.0
_LET_GO_SECONDS = 3.0

Work = tuple[Item, IndexDocument]


class Transfer:
    """One run over what is left of a list.

    Parameters
    ----------
    control
        Called each second; a text ends the transfer: what its user asked for, or that the worker has to stop.
    """

    def __init__(self, items: Items, bucket: Bucket, connections: int, control: Callable[[], str]) -> None:
        self._items, self._bucket, self._connections = items, bucket, connections
        self._control = control
        self._stop = threading.Event()
        self._given: queue.Queue[Work | None] = queue.Queue(2 * connections)
        self._results: queue.Queue[Outcome | ResearchPacsError] = queue.Queue()
        self._probing = threading.Lock()
        self._recent: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self.ended = 0
        """Instances that were ticked off."""
        self.stopped = ""
        """Why it ended early; empty where all is done."""

    @property
    def stopping(self) -> bool:
        """Tell whether to give up, in the middle of a large object too."""
        return self._stop.is_set()

    def run(self, work: Iterator[Work], maker: ObjectMaker) -> None:
        """Send everything; instances that cannot be sent are ticked off with the reason.

        Raises
        ------
        TransientError
            A peer stayed away; worth another run later.
        BucketRefusedError
            The bucket refuses us altogether.
        """
        threads = [
            threading.Thread(target=self._send_all, args=(maker,), name=f"send-{number}", daemon=True)
            for number in range(self._connections)
        ]
        feeder = threading.Thread(target=self._feed, args=(work,), name="feed", daemon=True)
        for thread in (feeder, *threads):
            thread.start()
        try:
            self._collect([feeder, *threads])
        finally:
            self._stop.set()
            deadline = time.monotonic() + _LET_GO_SECONDS  # a sender that hangs in a socket is left behind
            for thread in (feeder, *threads):
                thread.join(max(0, deadline - time.monotonic()))

    # ------------------------------------------------------------------------------------------------- threads
    def _feed(self, work: Iterator[Work]) -> None:
        try:
            for each in work:
                self._give(each)
                if self._stop.is_set():
                    return
            for _ in range(self._connections):
                self._give(None)
        except ResearchPacsError as exc:
            self._results.put(exc)

    def _give(self, each: Work | None) -> None:
        while not self._stop.is_set():
            try:
                self._given.put(each, timeout=0.2)
                return
            except queue.Full:
                continue

    def _send_all(self, maker: ObjectMaker) -> None:
        while not self._stop.is_set():
            try:
                work = self._given.get(timeout=0.2)
            except queue.Empty:
                continue
            if work is None:
                return
            try:
                if (outcome := self._send(maker, *work)) is not None:
                    self._results.put(outcome)
            except ResearchPacsError as exc:
                self._results.put(exc)
                return
            except Exception as exc:
                logger.exception("unexpected error in an export")
                self._results.put(
                    Outcome(work[0], (), "Unexpected", f"{type(exc).__name__}; the log has the traceback")
                )

    def _send(self, maker: ObjectMaker, item: Item, document: IndexDocument) -> Outcome | None:
        """Send one instance, with patience; None where the transfer was stopped meanwhile."""
        for tried in range(1, TRIES + 1):
            try:
                with timed(KIND, "send"):
                    return Outcome(item, maker.send(item, document))
            except ResearchPacsError as exc:
                if self._stop.is_set():
                    return None
                count_error(KIND, exc)
                if isinstance(exc, BucketRefusedError):
                    self._ask_bucket(exc)
                if not _worth_another(exc):
                    return Outcome(item, (), exc.code, str(exc))
                if tried == TRIES:
                    raise
                self._stop.wait(back_off(_FIRST, _LONGEST, tried - 1))
        return None

    def _ask_bucket(self, refusal: BucketRefusedError) -> None:
        """Find out whether the bucket refuses this object or everything; raises the refusal where it is everything."""
        with self._probing:
            if self._stop.is_set():
                return
            try:
                self._bucket.probe()
            except BucketRefusedError:
                raise refusal from None

    # ------------------------------------------------------------------------------------------------ collecting
    def _collect(self, threads: list[threading.Thread]) -> None:
        waiting: list[Outcome] = []
        written = asked = time.monotonic()
        error: ResearchPacsError | None = None
        try:
            while error is None and not self.stopped:
                alive = any(thread.is_alive() for thread in threads)
                error = self._gather(waiting)
                now = time.monotonic()
                if waiting and (len(waiting) >= _BATCH or now - written >= _BATCH_SECONDS):
                    self._tick_off(waiting)
                    written = now
                if now - asked >= _CONTROL_SECONDS:
                    self.stopped, asked = self._control(), now
                if not alive and self._results.empty():
                    break
        finally:
            self._stop.set()
            while not self._results.empty():
                result = self._results.get()
                if isinstance(result, Outcome):
                    waiting.append(result)
            self._tick_off(waiting)
        if error is not None:
            raise error

    def _gather(self, waiting: list[Outcome]) -> ResearchPacsError | None:
        """Collect what has come after a moment; return the error that ends the transfer, if there is one."""
        # To wake up for each result would take the interpreter from the senders each time.
        self._stop.wait(_GATHER_SECONDS)
        while not self._results.empty():
            result = self._results.get()
            if not isinstance(result, Outcome):
                return result
            waiting.append(result)
        return None

    def _tick_off(self, waiting: list[Outcome]) -> None:
        if waiting:
            self.ended += len(waiting)
            self._items.finish(waiting, self._rate())
            BYTES.labels(KIND).inc(sum(sent.size for outcome in waiting for sent in outcome.sent))
            waiting.clear()

    def _rate(self) -> float:
        """Return instances per second of late."""
        now = time.monotonic()
        self._recent.append((now, self.ended))
        while now - self._recent[0][0] > _RATE_SECONDS and len(self._recent) > 2:
            self._recent.popleft()
        (begun, before), seconds = self._recent[0], now - self._recent[0][0]
        return (self.ended - before) / seconds if seconds > 0 and begun else 0.0


def _worth_another(error: ResearchPacsError) -> bool:
    # A refusal of the bucket that passed the probe is of this object; Orthanc's refusals are of the instance.
    return is_transient(error) and not isinstance(error, BucketRefusedError) and error.code != "Refused"
