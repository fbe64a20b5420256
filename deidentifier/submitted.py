"""Work on what was submitted: by its own rules, to its own destination, with a record at the end."""

from __future__ import annotations

import dataclasses
import json
import logging

from common.errors import NotFoundError, PermanentError, QuarantineError, RefusedError, ResearchPacsError
from common.orthanc import Orthanc
from common.retry import describe
from common.storage import join
from common.tasks import Result, Task
from common.worker import Batch
from deidentifier.builder import DeidentifierBuilder
from deidentifier.rules_in_force import apply
from deidentifier.submissions import KIND, Request, Submissions
from deidentifier.worker import Deidentify, Rules, deliver, discarded

logger = logging.getLogger(__name__)


class SubmittedWork:
    """What a submission asks for, done to one instance.

    Parameters
    ----------
    rules
        In force where a submission brings none.
    builder
        Makes the engine where it does.
    """

    def __init__(
        self,
        submissions: Submissions,
        destination: Orthanc,
        rules: Rules,
        builder: DeidentifierBuilder,
    ) -> None:
        self._submissions, self._destination, self._rules = submissions, destination, rules
        self._builder, self._storage = builder, builder.storage

    def settle(self, task: Task, submission: str, data: bytes | None = None) -> Result:
        """De-identify and deliver; ``data`` are the bytes where they come from the source Orthanc."""
        request = self._submissions.read(submission)
        try:
            result = self._settle(task, request, submission, data)
        except PermanentError as exc:
            self._record(request, submission, task, None, exc)
            if request.no_retry and not isinstance(exc, QuarantineError | RefusedError):
                code, message = describe(exc)
                return Result(task, "failed", attempts=task.attempts + 1, error_code=code, error=message)
            raise
        self._record(request, submission, task, result, None)
        return result

    def _settle(self, task: Task, request: Request, submission: str, data: bytes | None) -> Result:
        if data is None:
            data = self._storage.read(request.source) if request.source else self._submissions.read_file(submission)
        made = self._deidentify(request)(data)
        result = discarded(task, data, made)
        if made.data is None:
            return result
        if request.destination:
            # Named by the submission: the original's name carries the patient's.
            self._storage.write(join(request.destination, f"{submission}.dcm"), made.data)
            # The row of an instance remembers what is in the research Orthanc.
            return dataclasses.replace(result, state="done", result=submission if task.kind == KIND else None)
        delivered = deliver(self._destination, made.data)
        return dataclasses.replace(result, state="done", result=delivered.id, result_md5=delivered.md5)

    def _deidentify(self, request: Request) -> Deidentify:
        if not request.rules:
            return self._rules.current()
        deidentifier = self._builder.load(request.rules, "submitted rules")
        return lambda data: apply(deidentifier, data)

    def _record(
        self, request: Request, submission: str, task: Task, result: Result | None, error: ResearchPacsError | None
    ) -> None:
        if not request.log:
            return
        code, message = describe(error) if error else (None, None)
        record = {
            "task": task.id,
            "state": result.state if result else "error",
            "result": result.result if result else None,
            "rules_sha256": result.rules_sha256 if result else None,
            "detail": result.detail if result else None,
            "error": {"class": code, "message": message} if error else None,
        }
        self._storage.write(join(request.log, f"{submission}.json"), json.dumps(record, indent=2).encode() + b"\n")


class SubmissionWorker:
    """Works on submitted files."""

    kind = KIND
    batch = 1

    def __init__(self, submissions: Submissions, work: SubmittedWork) -> None:
        self._submissions, self._work = submissions, work

    def work(self, batch: Batch) -> list[Result]:
        """Work on submissions; erase what they brought as soon as they are settled.

        As with originals, what was decided is written down first: whoever takes a task of a worker that died here finds
        its file erased, and knows why.
        """
        results = list(batch.each(self._settle))
        settled = [result for result in results if result.state in {"done", "discarded"}]
        if settled:
            held = batch.queue.decide(batch.worker, settled)
            self._submissions.erase([result.task.subject for result in settled if result.task.id in held])
        return results

    def _settle(self, task: Task) -> Result:
        if task.withdrawn:
            return Result(task, "discarded", error_code="DiscardedByHand", error="A person discarded it.")
        try:
            return self._work.settle(task, task.subject)
        except NotFoundError:
            if task.outcome is None:
                raise
            return Result(task, task.outcome, result=task.result, source_md5=task.source_md5)
