"""Make the index's document of an instance of the research Orthanc."""

from __future__ import annotations

from common.dicom_scan import scan
from common.orthanc import Orthanc
from website.index.document import IndexDocument, InstanceIds, build_document


class DocumentBuilder:
    """Makes documents under the identifiers that Orthanc gave."""

    def __init__(self, orthanc: Orthanc) -> None:
        self._orthanc = orthanc

    def __call__(self, instance: str, data: bytes) -> IndexDocument:
        """Make the document of a file.

        Raises
        ------
        InvalidDicomError
            It is not DICOM, or damaged.
        """
        scanned = scan(data)
        ids = InstanceIds.of(scanned)
        # Orthanc reads odd characters its own way before it computes identifiers: then it is asked.
        return build_document(ids if ids.instance == instance else self._ask(instance), scanned)

    def _ask(self, instance: str) -> InstanceIds:
        parents = (self._orthanc.get_json(f"/instances/{instance}/{level}") for level in ("series", "study", "patient"))
        return InstanceIds(instance, *(str(parent["ID"]) for parent in parents))
