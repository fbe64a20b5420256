"""What was made of an original before, where it may not stay: replaced by another identity, or taken back.

An instance that is sent again and now discarded, quarantined or failed has no result any more: what other rules once
made of it may be the leak for which they were mended. It is deleted before the task ends, and found deleted by whoever
takes the task of a worker that died in between.

The row of a task tells what was delivered, but for a *stray*: a worker died, or lost touch, between its upload and the
next write to the row. Where a task was begun before and its row tells of no result, strays are looked for by the SOP
Instance UID that the rules made.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from contextlib import suppress

from common.errors import NotFoundError
from common.orthanc import Orthanc
from common.tasks import Result, Task
from common.worker import Batch
from deidentifier.mappings import indexed

logger = logging.getLogger(__name__)

GONE = "OriginalGone"
_INSTANCE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")
_UID = re.compile(r"[0-9.]+")
_MADE = """
SELECT replacement FROM ingest.mappings
WHERE kind = 'UID' AND scope_type = 'Always' AND scope_value = '' AND original = %s AND project = ''
"""
_LEFT = "left in the research Orthanc: it has not the bytes that were delivered, and its identity is not ours alone"


class EarlierResults:
    """Earlier results in the research Orthanc."""

    def __init__(self, source: Orthanc, destination: Orthanc) -> None:
        self._source, self._destination = source, destination

    def replace(self, batch: Batch, task: Task, result_id: str) -> None:
        """Delete what other rules once made of this original, where it got another identity then."""
        if task.result is None:
            if not task.begun or not self._delete_strays(batch, task, keep=result_id):
                return
        elif task.result != result_id:
            try:
                self._destination.delete_instance(task.result)
            except NotFoundError:
                return
        logger.info("an earlier result was replaced", extra={"task": task.id})

    def withdraw(self, batch: Batch, result: Result) -> Result:
        """Delete what was made of an original before, now that nothing may be; return what is said of the task then.

        Only a result of ours is deleted: it has the bytes that were delivered, or, where it was stored anew since, a
        SOP Instance UID that the rules made, and no other task delivered it.
        """
        task = result.task
        if task.id not in batch.queue.heartbeat(batch.worker, [task.id]):
            return result  # another worker has it, and may have delivered since; what this one found does not count
        if task.result is None:
            if self._delete_strays(batch, task):
                self._note(batch, task)
            return result
        try:
            if not self._is_ours(batch, task):
                logger.warning("an earlier result was left: its bytes are others'", extra={"task": task.id})
                return dataclasses.replace(result, detail={**(result.detail or {}), "earlier_result": _LEFT})
            self._destination.delete_instance(str(task.result))
        except NotFoundError:
            pass  # by a person, or by a worker that died before it wrote so
        self._note(batch, task)
        return result

    def _note(self, batch: Batch, task: Task) -> None:
        batch.queue.forget_result(batch.worker, task)
        logger.info("an earlier result was withdrawn", extra={"task": task.id})

    def _delete_strays(self, batch: Batch, task: Task, keep: str = "") -> int:
        """Delete results of this original of which no row tells; returns how many.

        Where the source Orthanc has another original with this SOP Instance UID, in work perhaps, nobody can tell whose
        they are.
        """
        try:
            uid = _sop_instance_uid(self._source, task.subject)
        except NotFoundError:
            return 0
        made = batch.queue.database.call(_MADE, (indexed(uid),))
        found = _instances(self._destination, str(made[0][0])) if made else []
        strays = [each for each in found if each != keep and not batch.queue.shares_result(task, each)]
        if strays and _instances(self._source, uid) != [task.subject]:
            logger.warning("an earlier result was left: two originals have its UID", extra={"task": task.id})
            return 0
        for each in strays:
            with suppress(NotFoundError):
                self._destination.delete_instance(each)
        return len(strays)

    def _is_ours(self, batch: Batch, task: Task) -> bool:
        if self._destination.instance_md5(str(task.result)) == batch.queue.result_md5(task):
            return True
        made = _sop_instance_uid(self._destination, str(task.result))
        try:
            original = _sop_instance_uid(self._source, task.subject)
        except NotFoundError:
            return False
        return made != original and not batch.queue.shares_result(task, str(task.result))


def may_not_stay(result: Result) -> bool:
    """Tell whether an earlier result has to go: what came again was judged, and nothing of it is sent on.

    A submission judges by its own rules: it says nothing about what those in force once made.
    """
    task = result.task
    if result.state not in {"discarded", "quarantined", "failed"} or result.error_code == GONE or task.request:
        return False
    return task.begun if task.result is None else _INSTANCE.fullmatch(task.result) is not None


def _sop_instance_uid(orthanc: Orthanc, instance: str) -> str:
    return str(orthanc.get_json(f"/instances/{instance}")["MainDicomTags"].get("SOPInstanceUID", ""))


def _instances(orthanc: Orthanc, uid: str) -> list[str]:
    """Return the instances with a SOP Instance UID; none for a damaged one, which Orthanc may take for a pattern."""
    if not _UID.fullmatch(uid):
        return []
    query = {"Level": "Instance", "Expand": False, "CaseSensitive": True, "Query": {"SOPInstanceUID": uid}}
    return [str(instance) for instance in orthanc.post_json("/tools/find", query)]
