"""Make the index's document of an instance of the research Orthanc."""

from __future__ import annotations

from common.dicom_outline import Outline, outline
from common.dicom_scan import scan
from common.orthanc import Orthanc
from website.index.document import IndexDocument, InstanceIds, build_document

IN_MEMORY = 8 << 20
"""Bytes of the largest file that is read at once, as fast as can be; of larger ones the pixels are read past."""
_CHUNK = 1 << 20


class DocumentBuilder:
    """Makes documents under the identifiers that Orthanc gave; memory does not grow with the pixels of a file."""

    def __init__(self, orthanc: Orthanc) -> None:
        self._orthanc = orthanc

    def download(self, instance: str) -> Outline:
        """Return the file, or, where it is large, what of it there is to index.

        Raises
        ------
        NotFoundError
            Orthanc does not have it.
        InvalidDicomError
            It is damaged.
        """
        data = self._orthanc.download_small(instance, IN_MEMORY)
        if data is not None:
            return Outline(data, len(data))
        with self._orthanc.stream(f"/instances/{instance}/file") as answer:
            return outline(answer.stream(_CHUNK))

    def __call__(self, instance: str, file: Outline) -> IndexDocument:
        """Make the document of a file.

        Raises
        ------
        InvalidDicomError
            It is not DICOM, or damaged.
        """
        scanned = scan(file.data, size=file.size)
        ids = InstanceIds.of(scanned)
        # Orthanc reads odd characters its own way before it computes identifiers: then it is asked.
        return build_document(ids if ids.instance == instance else self._ask(instance), scanned)

    def _ask(self, instance: str) -> InstanceIds:
        parents = (self._orthanc.get_json(f"/instances/{instance}/{level}") for level in ("series", "study", "patient"))
        return InstanceIds(instance, *(str(parent["ID"]) for parent in parents))
