"""Work on what was submitted: by its own rules, to its own destination, with a record at the end."""

from __future__ import annotations

import dataclasses
import json
import logging

from common.errors import PermanentError, QuarantineError, RefusedError, ResearchPacsError
from common.orthanc import Orthanc
from common.retry import describe
from common.storage import Storage, join
from common.tasks import Result, Task
from common.worker import Batch
from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MappingStore
from deidentifier.pseudonym_key import PseudonymKey
from deidentifier.rules_file import load_rules
from deidentifier.rules_in_force import apply
from deidentifier.submissions import KIND, Request, Submissions
from deidentifier.withdrawal import Withdrawals
from deidentifier.worker import Deidentify, Made, Rules, deliver, md5

logger = logging.getLogger(__name__)


class SubmittedWork:
    """What a submission asks for, done to one instance.

    Parameters
    ----------
    rules
        In force where a submission brings none.
    key
        What new values are derived from; None: they are random.
    withdrawals
        Patients of whom nothing is taken any more.
    """

    def __init__(
        self,
        submissions: Submissions,
        destination: Orthanc,
        rules: Rules,
        mappings: MappingStore,
        storage: Storage,
        key: PseudonymKey | None = None,
        withdrawals: Withdrawals | None = None,
    ) -> None:
        self._withdrawn = withdrawals.holds if withdrawals is not None else None
        self._submissions, self._destination, self._rules = submissions, destination, rules
        self._mappings, self._storage, self._key = mappings, storage, key

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
        result = Result(
            task,
            "discarded",
            source_md5=md5(data),
            rules_sha256=made.rules_sha256,
            detail=made.detail,
            bytes=len(data),
        )
        if made.data is None:
            return result
        return dataclasses.replace(result, state="done", result=self._deliver(request, made, submission))

    def _deidentify(self, request: Request) -> Deidentify:
        if not request.rules:
            return self._rules.current()
        deidentifier = Deidentifier(
            load_rules(request.rules, "submitted rules"), self._mappings, key=self._key, withdrawn=self._withdrawn
        )
        return lambda data: apply(deidentifier, data)

    def _deliver(self, request: Request, made: Made, submission: str) -> str:
        data = made.data or b""
        if not request.destination:
            return deliver(self._destination, data).id
        # Named by the submission: the original's name carries the patient's.
        self._storage.write(join(request.destination, f"{submission}.dcm"), data)
        return submission

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
        """Work on submissions; erase what they brought as soon as they are settled."""
        results = list(batch.each(self._settle))
        self._submissions.erase([r.task.subject for r in results if r.state in {"done", "discarded"}])
        return results

    def _settle(self, task: Task) -> Result:
        if task.withdrawn:
            return Result(task, "discarded", error_code="DiscardedByHand", error="A person discarded it.")
        return self._work.settle(task, task.subject)
