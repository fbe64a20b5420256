"""Sources of values for :func:`common.query.match` beside :class:`common.dicom_scan.Scan`, which is one by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset

from common.dicom_scan import scan
from common.tags import TagPath


class DatasetSource:
    """A pydicom data set, its file meta information included; read as its file would be."""

    def __init__(self, dataset: Dataset) -> None:
        buffer = BytesIO()
        meta = getattr(dataset, "file_meta", None) or FileMetaDataset()
        if not hasattr(dataset, "file_meta") or "TransferSyntaxUID" not in meta:
            pydicom.dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True)
        else:
            pydicom.dcmwrite(buffer, dataset)
        self._scan = scan(buffer.getvalue())

    def values(self, path: TagPath) -> Sequence[str] | None:
        """Return the texts of an element, over all items."""
        return self._scan.values(path)


class ValuesSource:
    """Texts by path, as the index keeps them."""

    def __init__(self, values: Mapping[TagPath, Sequence[str]]) -> None:
        self._values = values

    def values(self, path: TagPath) -> Sequence[str] | None:
        """Return the texts of an element, None where it is absent."""
        return self._values.get(path)
