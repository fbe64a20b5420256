"""Follow the change feed of an Orthanc into the task queue (Orthanc Book, "Tracking changes").

One follower at a time holds an advisory lock for the length of a step; what it read and the new position are written in
one transaction, so a follower may die anywhere.

Sequence numbers can become visible out of order when Orthanc's index is PostgreSQL: a smaller Seq after a larger one
was read. So every second a step reads again what lies shortly before the position, and now and then everything since
the position of a minute ago. Enqueuing is idempotent by generation and Seq. What would be later still, reconciliation
finds.

Orthanc's database has no identity. A feed is *new*, and read from its beginning as another generation, when its last
Seq lies below our position by more than the overlap, or when the change that we remember as anchor is another one now.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from common.database import Cursor, load_statements
from common.errors import ResearchPacsError
from common.metrics import FEED_CHANGES, FEED_LAG, count_error
from common.orthanc import READINESS_INSTANCE, Change, ChangesPage, Orthanc
from common.retry import back_off
from common.tasks import Asked, TaskQueue

logger = logging.getLogger(__name__)

OVERLAP = 100
PAGE = 1000
OVERLAP_EVERY = 1.0
DEEP_SECONDS, DEEP_EVERY = 60.0, 10.0
FIRST_DEEP = 5000


@dataclass(frozen=True)
class FeedState:
    """How far a feed was read."""

    generation: int = 1
    position: int = 0
    anchor_seq: int | None = None
    anchor_id: str | None = None
    anchor_date: str | None = None


def is_new_feed(state: FeedState, page: ChangesPage, overlap: int = OVERLAP) -> bool:
    """Tell whether a page belongs to another feed than the one that the state was written for."""
    if page.last < state.position - overlap:
        return True
    return any(
        change.seq == state.anchor_seq and (change.id, change.date) != (state.anchor_id, state.anchor_date)
        for change in page.changes
    )


class ChangeFeed:
    """The feed of one Orthanc: ``NewInstance`` changes become tasks of one kind.

    Parameters
    ----------
    name
        Of the row in ``feeds``.
    overlap_every
        Seconds between two readings of the overlap.
    """

    def __init__(
        self, orthanc: Orthanc, queue: TaskQueue, *, kind: str, name: str, overlap_every: float = OVERLAP_EVERY
    ) -> None:
        self._orthanc, self._queue, self._kind, self.name = orthanc, queue, kind, name
        self._enqueued: set[tuple[int, int]] = set()
        self._positions: deque[tuple[float, int]] = deque()
        self._deep_at = -DEEP_EVERY
        self._overlap_every, self._overlap_at = overlap_every, -math.inf
        statements = load_statements(Path(__file__).with_suffix(".sql"))
        self._sql = {name: text.replace("{schema}", queue.schema) for name, text in statements.items()}

    def step(self) -> bool:
        """Read a page, and now and then the last minute once more; returns whether more is waiting.

        Raises
        ------
        OrthancUnavailableError, DatabaseUnavailableError
            Nothing was written; step again later.
        """
        with self._queue.database.transaction() as cursor:
            if not self._execute(cursor, "lock")[0]:
                return False
            state = FeedState(*self._execute(cursor, "read"))
            overlap = self._overlap()
            page = self._orthanc.changes(max(0, state.position - overlap), overlap + PAGE)
            if is_new_feed(state, page):
                self._begin_generation(cursor)
                return True
            fresh = self._enqueue(cursor, state, page.changes)
            if page.changes and page.changes[-1].seq > state.position:
                newest = page.changes[-1]
                self._execute(cursor, "advance", seq=newest.seq, id=newest.id, date=newest.date, last=page.last)
            fresh |= self._read_again(cursor, state)
        # Only now is it sure that they are written.
        self._enqueued |= fresh
        FEED_LAG.labels(self.name).set(0 if page.done else page.last - state.position)
        return not page.done

    def _overlap(self) -> int:
        """Return how many changes before the position are read again: at least the anchor itself."""
        now = time.monotonic()
        if now - self._overlap_at < self._overlap_every:
            return 1
        self._overlap_at = now
        return OVERLAP

    def _execute(self, cursor: Cursor, statement: str, **parameters: object) -> tuple[Any, ...]:
        cursor.execute(self._sql[statement], {"name": self.name, **parameters})
        return (cursor.fetchone() if cursor.description else None) or ()

    def _begin_generation(self, cursor: Cursor) -> None:
        logger.warning("the change feed is a new one: reading it from its beginning", extra={"feed": self.name})
        self._execute(cursor, "begin_generation")
        self._positions.clear()
        self._enqueued.clear()

    def _enqueue(self, cursor: Cursor, state: FeedState, changes: Sequence[Change]) -> set[tuple[int, int]]:
        """Enqueue what this process has not enqueued before; returns the generations and Seqs."""
        fresh = {
            (state.generation, change.seq): Asked(change.id, state.generation, change.seq)
            for change in changes
            if change.type == "NewInstance"
            and change.id != READINESS_INSTANCE
            and (state.generation, change.seq) not in self._enqueued
        }
        FEED_CHANGES.labels(self.name).inc(self._queue.enqueue(cursor, self._kind, list(fresh.values())))
        return set(fresh)

    def _read_again(self, cursor: Cursor, state: FeedState) -> set[tuple[int, int]]:
        """Go through the changes since the position of a minute ago, for such that became visible since."""
        now = time.monotonic()
        if now - self._deep_at < DEEP_EVERY:
            return set()
        self._deep_at = now
        if not self._positions:  # this process has just begun, and does not know
            self._positions.append((now, max(0, state.position - FIRST_DEEP)))
        self._positions.append((now, state.position))
        while len(self._positions) > 1 and self._positions[1][0] < now - DEEP_SECONDS:
            self._positions.popleft()
        since, fresh = self._positions[0][1], set[tuple[int, int]]()
        self._enqueued = {known for known in self._enqueued if known[1] > since - OVERLAP}
        while since < state.position - OVERLAP:
            page = self._orthanc.changes(since, PAGE)
            fresh |= self._enqueue(cursor, state, [change for change in page.changes if change.seq <= state.position])
            if page.done or not page.changes:
                break
            since = page.changes[-1].seq
        return fresh


def follow(feed: ChangeFeed, stop: Event, *, every: float = 0.3) -> None:
    """Step until told to stop; while a peer is away, ever more slowly."""
    failures = 0
    while not stop.is_set():
        try:
            more = feed.step()
            failures = 0
            stop.wait(0.02 if more else every)
        except ResearchPacsError as exc:
            failures += 1
            count_error("follow", exc)
            logger.warning("the change feed cannot be read now", extra={"feed": feed.name, "error": exc.code})
            stop.wait(back_off(0.5, 10, failures - 1))
        except Exception as exc:
            failures += 1
            count_error("follow", exc)
            logger.exception("unexpected error while following", extra={"feed": feed.name})
            stop.wait(back_off(0.5, 30, failures - 1))
