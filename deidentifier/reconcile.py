"""Find what the change feed did not tell: instances of the source Orthanc without a task, or left over by one."""

from __future__ import annotations

import itertools
import logging
import time

from common.metrics import RECONCILED
from common.orthanc import Orthanc
from common.tasks import TaskQueue
from deidentifier.worker import KIND

logger = logging.getLogger(__name__)

PAGE = 5000
FEW = 20_000
DAY = 86_400.0


class SourceReconciler:
    """Walks through the source Orthanc: each time while it holds few instances, else once a day.

    Parameters
    ----------
    preserve
        See ``RPACS_PRESERVE_ORIGINAL_FILES``: then an original whose task is done is no left-over.
    """

    def __init__(self, source: Orthanc, queue: TaskQueue, *, preserve: bool) -> None:
        self._source, self._queue, self._preserve = source, queue, preserve
        self._walked_at = -DAY

    def step(self) -> int:
        """Walk if it is time; returns how many tasks were made or begun anew."""
        if self._is_due():
            self._walked_at = time.monotonic()
            return self.walk()
        return 0

    def walk(self) -> int:
        """Ask for every instance that no task looks after."""
        found = 0
        instances = self._source.all_instances()
        while page := list(itertools.islice(instances, PAGE)):
            with self._queue.database.transaction() as cursor:
                found += self._queue.enqueue_found(cursor, KIND, page, repeat=not self._preserve)
        if found:
            RECONCILED.labels("source", "instance without task").inc(found)
            logger.warning("instances without a task were found", extra={"tasks": found})
        return found

    def _is_due(self) -> bool:
        if time.monotonic() - self._walked_at >= DAY:
            return True
        return self._source.count_instances() <= FEW
