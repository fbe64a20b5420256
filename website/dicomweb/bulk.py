"""Bulk data from Orthanc's DICOMweb: its bytes, without the multipart around them, which names Orthanc's address."""

from __future__ import annotations

import re
from collections.abc import Iterator

from common.errors import NotFoundError, OrthancUnavailableError, RefusedError
from common.orthanc import Orthanc
from website.dicomweb.members import Member
from website.dicomweb.multipart import MultipartReader

_ACCEPT = 'multipart/related; type="application/octet-stream"'


def open_bulk(orthanc: Orthanc, study_uid: str, member: Member, tag: str) -> Iterator[bytes]:
    """Yield the value of one element.

    Raises
    ------
    NotFoundError
        The instance has no such element.
    OrthancUnavailableError
        Orthanc's answer cannot be read.
    """
    path = f"/dicom-web/studies/{study_uid}/series/{member.series_uid}/instances/{member.uid}/bulk/{tag.lower()}"
    try:
        with orthanc.stream(path, {"Accept": _ACCEPT}) as answer:
            found = re.search(r'boundary="?([^";]+)', answer.headers.get("Content-Type", ""))
            if found is None:
                raise OrthancUnavailableError("Orthanc's answer is no multipart")
            for _, body in MultipartReader(answer, found[1]).parts():  # type: ignore[arg-type]  # it has read(size)
                yield from body
    except RefusedError:
        raise NotFoundError from None  # 400: no such element
