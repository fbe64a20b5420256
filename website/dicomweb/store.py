"""STOW-RS (PS3.18 10.5): instances that a permitted user brings, into the research Orthanc.

Nothing of this path de-identifies: a profile has to say ``Store: true``. An instance that is there already is never
replaced, else whoever may store could overwrite what they may not see.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from common.dicom_scan import scan
from common.errors import InvalidDicomError, NotFoundError, RefusedError
from common.orthanc import Orthanc
from website.index import InstanceIds

# Failure reasons: PS3.18 Table I.2-2, PS3.4 Table B.2-1.
NOT_UNDERSTOOD, NOT_ALLOWED, OTHER_STUDY = 0xC000, 0x0124, 0xC409
_MOST_BYTES = 1 << 30


@dataclass
class StoreAnswer:
    """What became of each part, as the Store Instances Response Module has it (PS3.18 Table I.2-1)."""

    stored: list[tuple[str, str, str, str]] = field(default_factory=list)
    failed: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def status(self) -> int:
        """200 all stored, 202 some, 409 none (PS3.18 Table 10.5.3-1)."""
        return 200 if not self.failed else 202 if self.stored else 409

    def as_json(self, root: str) -> dict[str, Any]:
        """Return the module in the DICOM JSON model."""
        answer: dict[str, Any] = {}
        if self.failed:
            answer["00081198"] = {"vr": "SQ", "Value": [_failure(*each) for each in self.failed]}
        if self.stored:
            answer["00081199"] = {"vr": "SQ", "Value": [_success(root, *each) for each in self.stored]}
        return answer


class Store:
    """Stores instances in one Orthanc."""

    def __init__(self, orthanc: Orthanc) -> None:
        self._orthanc = orthanc

    def store(self, parts: Iterable[tuple[str, Iterator[bytes]]], study: str = "") -> StoreAnswer:
        """Store the instances of a multipart, those of one study only where a study is given.

        Raises
        ------
        RefusedError
            The multipart is broken.
        OrthancUnavailableError, StorageFullError
            It goes on later, or nowhere; what was stored stays.
        """
        answer = StoreAnswer()
        for _, body in parts:
            data = _read(body)
            try:
                ids, uids = _identify(data)
            except InvalidDicomError:
                answer.failed.append(("", "", NOT_UNDERSTOOD))
                continue
            self._one(data, ids, uids, study, answer)
        return answer

    def _one(self, data: bytes, ids: InstanceIds, uids: tuple[str, ...], study: str, answer: StoreAnswer) -> None:
        sop_class, study_uid, series_uid, uid = uids
        if study and study_uid != study:
            answer.failed.append((sop_class, uid, OTHER_STUDY))
        elif self._is_there(ids.instance):
            answer.failed.append((sop_class, uid, NOT_ALLOWED))
        else:
            try:
                self._orthanc.upload(data)
            except RefusedError:
                answer.failed.append((sop_class, uid, NOT_UNDERSTOOD))
                return
            answer.stored.append((sop_class, study_uid, series_uid, uid))

    def _is_there(self, instance_id: str) -> bool:
        try:
            self._orthanc.instance_md5(instance_id)
        except NotFoundError:
            return False
        return True


def _read(body: Iterator[bytes]) -> bytes:
    """Read one part; a slow client fills a file, not memory."""
    with tempfile.SpooledTemporaryFile(max_size=8 << 20) as file:
        size = 0
        for chunk in body:
            size += len(chunk)
            if size > _MOST_BYTES:
                raise RefusedError("an instance has at most 1 GB here")
            file.write(chunk)
        file.seek(0)
        return file.read()


def _identify(data: bytes) -> tuple[InstanceIds, tuple[str, ...]]:
    """Return Orthanc's identifiers, and SOP class, study, series and instance UID; raises ``InvalidDicomError``."""
    scanned = scan(data)
    uids = tuple(scanned.text(tag) for tag in (0x00080016, 0x0020000D, 0x0020000E, 0x00080018))
    if not all(uids):
        raise InvalidDicomError("an instance needs its UIDs")
    return InstanceIds.of(scanned), uids


def _failure(sop_class: str, uid: str, reason: int) -> dict[str, Any]:
    return {**_reference(sop_class, uid), "00081197": {"vr": "US", "Value": [reason]}}


def _success(root: str, sop_class: str, study: str, series: str, uid: str) -> dict[str, Any]:
    url = f"{root}/studies/{study}/series/{series}/instances/{uid}"
    return {**_reference(sop_class, uid), "00081190": {"vr": "UR", "Value": [url]}}


def _reference(sop_class: str, uid: str) -> dict[str, Any]:
    named = {"00081150": sop_class, "00081155": uid}
    return {tag: {"vr": "UI", "Value": [value]} if value else {"vr": "UI"} for tag, value in named.items()}
