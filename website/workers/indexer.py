"""Index what arrives in the research Orthanc, whoever sent it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

from common.dicom_outline import Outline
from common.errors import LeaseEndedError, NotFoundError, PermanentError
from common.metrics import timed
from common.tasks import Result, Task
from common.worker import Batch

logger = logging.getLogger(__name__)

KIND = "index"


class IndexStore(Protocol):
    """The index, as far as indexing needs it."""

    def add(self, documents: Sequence[Any]) -> None:
        """Add or replace instances, in one transaction."""

    def remove(self, instance_ids: Sequence[str]) -> None:
        """Remove instances, by the research Orthanc's identifiers."""


class Documents(Protocol):
    """What reads instances and makes documents of them."""

    def download(self, instance: str) -> Outline:
        """Return the file of an instance, its identifier in Orthanc given."""

    def __call__(self, instance: str, file: Outline) -> Any:
        """Make the index's document of an instance."""


class InstanceIndexer:
    """Indexes the instances of the research Orthanc, a batch in one transaction."""

    kind = KIND
    batch = 32

    def __init__(self, index: IndexStore, documents: Documents) -> None:
        self._index, self._documents = index, documents

    def work(self, batch: Batch) -> list[Result]:
        """Read each instance, then add them all."""
        documents: dict[int, Any] = {}
        results = list(batch.each(lambda task: self._read(task, documents)))
        results = [result if batch.holds(result.task) else _lost(batch, result) for result in results]
        read = [result for result in results if result.task.id in documents and result.state == "done"]
        if not read:
            return results
        try:
            self._add([documents[result.task.id] for result in read])
        except PermanentError:
            # One of them is to blame, and only that one shall be.
            alone = {result.task.id: self._add_alone(batch, result, documents) for result in read}
            return [alone.get(result.task.id, result) for result in results]
        return results

    def _read(self, task: Task, documents: dict[int, Any]) -> Result:
        try:
            with timed(KIND, "download"):
                file = self._documents.download(task.subject)
        except NotFoundError:
            # The instance is gone, and so is its row: at once, without waiting for the reconciler.
            self._index.remove([task.subject])
            return Result(task, "discarded", error_code="InstanceGone", error="The instance was deleted meanwhile.")
        with timed(KIND, "document"):
            documents[task.id] = self._documents(task.subject, file)
        return Result(task, "done", bytes=file.size)

    def _add(self, documents: Sequence[Any]) -> None:
        with timed(KIND, "add"):
            self._index.add(documents)

    def _add_alone(self, batch: Batch, result: Result, documents: dict[int, Any]) -> Result:
        def add(task: Task) -> Result:
            self._add([documents[task.id]])
            return result

        return batch.attempt(result.task, add)[0]


def _lost(batch: Batch, result: Result) -> Result:
    """Add nothing for a task that another worker may have by now: what it added would be overwritten by older bytes."""
    return batch.queue.result_of_error(result.task, LeaseEndedError())
