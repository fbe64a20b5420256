"""DICOMDIR: the directory of a medium (PS3.3 F), which describes other files and is never de-identified itself."""

from __future__ import annotations

import io
from contextlib import suppress

import pydicom
from pydicom.errors import InvalidDicomError as PydicomInvalidDicomError
from pydicom.uid import MediaStorageDirectoryStorage

from common.errors import InvalidDicomError

_FILE_SET_ID = 0x00041130


def is_media_directory(data: bytes) -> bool:
    """Tell whether a file is a DICOMDIR."""
    with suppress(PydicomInvalidDicomError, EOFError, ValueError):
        meta = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=[_FILE_SET_ID]).file_meta
        return bool(meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage)
    return False


def listed_files(data: bytes) -> list[str]:
    """Return the paths that a DICOMDIR lists, with forward slashes (PS3.3 F.3.2.2, Referenced File ID).

    Raises
    ------
    InvalidDicomError
        It cannot be read.
    """
    try:
        records = list(pydicom.dcmread(io.BytesIO(data)).DirectoryRecordSequence)
        lists = [record.ReferencedFileID for record in records if "ReferencedFileID" in record]
    except (PydicomInvalidDicomError, AttributeError, EOFError, ValueError, TypeError, KeyError, NotImplementedError):
        raise InvalidDicomError("the DICOMDIR cannot be read") from None
    return ["/".join([parts] if isinstance(parts, str) else [str(part) for part in parts]) for parts in lists]
