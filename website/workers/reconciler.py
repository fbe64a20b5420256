"""Hold the index to the research Orthanc: what is missing is indexed, what was deleted there leaves the index.

Orthanc does not log deletions. Its number of instances is compared with the index's every few seconds; while they
differ, and in full once a day, all instances are walked through.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from common.errors import OrthancUnavailableError
from common.metrics import RECONCILED
from common.orthanc import Orthanc
from common.tasks import TaskQueue
from website.workers.indexer import KIND

logger = logging.getLogger(__name__)

PAGE = 5000
DAY = 86_400.0


class IndexedInstances(Protocol):
    """The index, as far as reconciling needs it."""

    def count_instances(self) -> int:
        """Count all instances."""

    def instance_ids(self) -> Iterator[str]:
        """Yield the identifiers of all instances."""

    def remove(self, instance_ids: Sequence[str]) -> None:
        """Remove instances."""


class IndexReconciler:
    """Compares the index with the research Orthanc."""

    def __init__(self, orthanc: Orthanc, index: IndexedInstances, queue: TaskQueue) -> None:
        self._orthanc, self._index, self._queue = orthanc, index, queue
        self._walked_at = -DAY

    def step(self) -> bool:
        """Compare the counts, and walk through all instances where they differ; returns whether it did.

        Raises
        ------
        OrthancUnavailableError
            Orthanc is away, or answers nothing where the index holds something.
        """
        counts = self._orthanc.count_instances(), self._index.count_instances()
        daily = time.monotonic() - self._walked_at >= DAY
        if not daily and (counts[0] == counts[1] or self._is_catching_up(counts)):
            return False
        self.walk()
        self._walked_at = time.monotonic()
        return True

    def _is_catching_up(self, counts: tuple[int, int]) -> bool:
        """Tell whether the index only lags behind what is waiting in the queue."""
        return counts[0] > counts[1] and self._queue.waiting(KIND)[0] > 0

    def walk(self) -> None:
        """Remove from the index what Orthanc does not hold, and ask for what the index does not hold.

        Raises
        ------
        OrthancUnavailableError
            Orthanc answers nothing, and not because everything was deleted.
        """
        indexed = set(self._index.instance_ids())  # before Orthanc's: what arrives in between is no left-over
        stored = set(self._orthanc.all_instances())
        if indexed and not stored:
            self._require_emptied()
        gone = sorted(indexed - stored)
        if gone:  # an instance that is being replaced is away for a moment, and not in a second list
            gone = sorted(set(gone).difference(self._orthanc.all_instances()))
        for page in _pages(gone):
            self._index.remove(page)
        self._note("index row without instance", len(gone))
        missing = sorted(stored - indexed)
        for page in _pages(missing):
            with self._queue.database.transaction() as cursor:
                found = self._queue.enqueue_found(cursor, KIND, page, repeat=True)
            self._note("instance without index row", found)

    def _require_emptied(self) -> None:
        """Tell an Orthanc that was emptied (its change counter stands) from one that lost its database."""
        page = self._orthanc.changes(0, 1)
        if self._orthanc.count_instances() or page.changes or page.last == 0:
            raise OrthancUnavailableError("the research Orthanc answers nothing: the index is left as it is")

    def _note(self, what: str, found: int) -> None:
        if found:
            RECONCILED.labels("research", what).inc(found)
            logger.warning("reconciled", extra={"what": what, "instances": found})


def _pages(instances: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(instances)
    while page := list(itertools.islice(rest, PAGE)):
        yield page
