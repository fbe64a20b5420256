"""From an original in the source Orthanc to its result in the research Orthanc.

The order of one instance: download, de-identify, upload, compare the MD5 that the research Orthanc stored, write down
what was decided, delete the original if it is still the one that was worked on, finish. Where nothing is sent on, what
was made of the original before is taken back instead. A worker may die between any two of them: whoever takes the task
again makes the same bytes, and finds what is done already.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from common.errors import InvalidDicomError, LeaseEndedError, NotFoundError, OrthancUnavailableError, QuarantineError
from common.metrics import timed
from common.orthanc import Orthanc
from common.tasks import Result, Task
from common.worker import Batch
from deidentifier.earlier_results import GONE, EarlierResults, may_not_stay
from deidentifier.room import SMALL, Room

logger = logging.getLogger(__name__)

KIND = "deidentify"


@dataclass(frozen=True)
class Made:
    """What the rules make of an instance; ``data`` is None where they discard it, ``boxes`` what they blacken."""

    data: bytes | None
    detail: Mapping[str, Any]
    rules_sha256: str | None
    boxes: Sequence[Sequence[tuple[int, int, int, int]]] = ()


Deidentify = Callable[[bytes], Made]
"""Applies the rules in force; raises errors of ours."""


class Rules(Protocol):
    """The rules in force."""

    def current(self) -> Deidentify:
        """Return what the latest good rules do."""


class Submitted(Protocol):
    """Works on instances that were submitted with rules and a destination of their own."""

    def settle(self, task: Task, submission: str, data: bytes | None = None) -> Result:
        """De-identify and deliver."""


def md5(data: bytes) -> str:
    """Return the checksum that Orthanc keeps of a file; it guards against mix-ups, not against attackers."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class InstanceWorker:
    """Works on the instances of the source Orthanc.

    Parameters
    ----------
    preserve
        See ``RPACS_PRESERVE_ORIGINAL_FILES``.
    submitted
        What works on submitted instances of the source Orthanc.
    room
        Memory for large instances; that of a process alone on the machine if None.
    """

    kind = KIND
    batch = 8

    def __init__(
        self,
        source: Orthanc,
        destination: Orthanc,
        rules: Rules,
        *,
        preserve: bool = False,
        submitted: Submitted | None = None,
        room: Room | None = None,
    ) -> None:
        self._submitted, self._room = submitted, room or Room.of_process(1)
        self._source, self._destination, self._rules, self._preserve = source, destination, rules, preserve
        self._earlier = EarlierResults(source, destination)

    def work(self, batch: Batch) -> list[Result]:
        """De-identify and deliver each instance, then delete the originals of those that are settled."""
        deidentify = self._rules.current()
        results = [
            self._withdraw(batch, each) for each in batch.each(lambda task: self._settle(batch, task, deidentify))
        ]
        settled = [result for result in results if result.state in {"done", "discarded"} and result.source_md5]
        if self._preserve or not settled:
            return results
        held = batch.queue.decide(batch.worker, settled)
        return [self._finish(batch, result) if result.task.id in held else result for result in results]

    def _withdraw(self, batch: Batch, result: Result) -> Result:
        """Take back what was made of an original before, where nothing may be made of it now."""
        if not may_not_stay(result):
            return result
        return batch.attempt(result.task, lambda task: self._earlier.withdraw(batch, result))[0]

    def _finish(self, batch: Batch, result: Result) -> Result:
        task = dataclasses.replace(result.task, result=result.result or result.task.result)
        ended, error = batch.attempt(task, lambda task: self._delete_original(result))
        return self._withdraw(batch, ended) if error else ended

    def _settle(self, batch: Batch, task: Task, deidentify: Deidentify) -> Result:
        """Take one instance to the research Orthanc, or find that it does not belong there."""
        if task.withdrawn:
            return self._give_up(task)
        with ExitStack() as held:
            try:
                data = self._download(task.subject, held)
            except NotFoundError:
                return _original_gone(task)
            return self._work_on(batch, task, data, deidentify)

    def _download(self, subject: str, held: ExitStack) -> bytes:
        """Return the original; a large one when there is room for it, which is held from then on."""
        with timed(KIND, "download"):
            data = self._source.download_small(subject, SMALL)
        if data is not None:
            return data
        size = self._source.instance_size(subject)
        with timed(KIND, "wait for memory"):
            held.enter_context(self._room.take(size))
        with timed(KIND, "download"):
            return self._source.download(subject)

    def _work_on(self, batch: Batch, task: Task, data: bytes, deidentify: Deidentify) -> Result:
        if task.request and self._submitted:
            result = self._submitted.settle(task, task.request, data)
            if result.result:
                self._earlier.replace(batch, task, result.result)
            return result
        with timed(KIND, "deidentify"):
            made = _approved(deidentify, data) if task.approved else deidentify(data)
        result = discarded(task, data, made)
        if made.data is None:
            return result
        if not batch.holds(task):
            raise LeaseEndedError
        with timed(KIND, "upload"):
            delivered = deliver(self._destination, made.data)
        self._earlier.replace(batch, task, delivered.id)
        return dataclasses.replace(result, state="done", result=delivered.id, result_md5=delivered.md5)

    def _give_up(self, task: Task) -> Result:
        """Send nothing on: a person discarded it, and only the original is left over."""
        try:
            stored = self._source.instance_md5(task.subject)
        except NotFoundError:
            stored = None
        message = "A person discarded it."
        return Result(task, "discarded", error_code="DiscardedByHand", error=message, source_md5=stored)

    def _delete_original(self, result: Result) -> Result:
        """Delete the original if it is the one that was worked on; if it was replaced meanwhile, begin anew."""
        with timed(KIND, "delete"):
            try:
                stored = self._source.instance_md5(result.task.subject)
                if stored != result.source_md5:
                    self._refuse_damage(result.task.subject, stored)
                    return Result(result.task, "queued", result=result.result, result_md5=result.result_md5)
                self._source.delete_instance(result.task.subject)
            except NotFoundError:
                pass
        return result

    def _refuse_damage(self, subject: str, stored: str) -> None:
        """Raise InvalidDicomError where an original was not replaced, but is damaged: it would begin anew for ever."""
        with ExitStack() as held:
            if md5(self._download(subject, held)) != stored == self._source.instance_md5(subject):
                raise InvalidDicomError(
                    "the source Orthanc's file has not the MD5 that it keeps: its storage is damaged"
                )


def _approved(deidentify: Deidentify, data: bytes) -> Made:
    """Apply the rules; what only a finding holds back that a person has approved is sent on."""
    try:
        return deidentify(data)
    except QuarantineError as exc:
        if exc.result is None:
            raise
        return Made(exc.result, {"approved": True, "findings": list(exc.findings)}, None)


def discarded(task: Task, data: bytes, made: Made) -> Result:
    """Return the result for an instance from which nothing is delivered."""
    return Result(
        task,
        "discarded",
        source_md5=md5(data),
        rules_sha256=made.rules_sha256,
        detail=made.detail,
        bytes=len(data),
    )


def _original_gone(task: Task) -> Result:
    """Tell an original that we deleted ourselves, before this worker's predecessor died, from one that others did."""
    if task.outcome is not None:
        return Result(task, task.outcome, result=task.result, source_md5=task.source_md5)
    return Result(
        task,
        "discarded",
        error_code=GONE,
        error="The instance was deleted from the source Orthanc before it was de-identified.",
    )


class Delivered(NamedTuple):
    """A result in the research Orthanc: its identifier there, and the MD5 of its bytes."""

    id: str
    md5: str


def deliver(destination: Orthanc, data: bytes) -> Delivered:
    """Upload a result and make sure that exactly these bytes are stored.

    Orthanc may keep an earlier copy (``AlreadyStored``); then that is replaced.

    Raises
    ------
    OrthancUnavailableError
        Other bytes are stored even now.
    """
    expected = md5(data)
    answer = destination.upload(data)
    if destination.instance_md5(answer.id) == expected:
        return Delivered(answer.id, expected)
    destination.delete_instance(answer.id)
    answer = destination.upload(data)
    if destination.instance_md5(answer.id) != expected:
        raise OrthancUnavailableError("the research Orthanc stored other bytes than it was sent")
    return Delivered(answer.id, expected)
