"""Finding the files to de-identify: files, folders, DICOMDIRs, ZIP archives, and prefixes in S3.

Everything is found before anything is done, so that a progress bar knows the end. An archive's members are inputs
of their own, read straight from the archive. What cannot be an input is one too, with its problem: nothing is
passed over in silence.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import BinaryIO

from common.errors import InvalidDicomError, NotFoundError, RefusedError, ResearchPacsError
from common.storage import Entry, Storage, is_s3, join

_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_CHUNK = 1 << 20
_READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


@dataclass(frozen=True)
class Input:
    """A file to de-identify.

    ``relative`` is its path below what was named on the command line, with forward slashes; ``member`` its name
    inside the archive at ``location``. ``problem`` says why it cannot be read.
    """

    location: str
    relative: str
    member: str | None = None
    problem: ResearchPacsError | None = None

    def __str__(self) -> str:
        return f"{self.location}!{self.member}" if self.member is not None else self.location


def find_inputs(paths: list[str], storage: Storage, max_inflated: int) -> Iterator[Input]:
    """Find the inputs that some paths name.

    Parameters
    ----------
    paths
        Files, folders, DICOMDIRs, ZIP archives, objects or prefixes of S3.
    max_inflated
        Limit of bytes to what one archive may grow to.

    Raises
    ------
    NotFoundError
        A path names nothing at all.
    """
    for path in paths:
        entries = list(storage.list(path))
        single = len(entries) == 1 and entries[0].location == path
        for entry in entries:
            yield from _find(entry, storage, max_inflated, single=single)


def _find(entry: Entry, storage: Storage, max_inflated: int, *, single: bool) -> Iterator[Input]:
    """Look into one file: an archive is its members, a DICOMDIR named outright is the files that it lists."""
    named = Input(entry.location, entry.relative)
    try:
        if not is_s3(entry.location) or entry.relative.lower().endswith(".zip"):
            with storage.open(entry.location) as file:
                start = file.read(4)
                file.seek(0)
                if start in _ZIP_MAGIC:
                    yield from _members(named, file, max_inflated)
                    return
        if PurePosixPath(entry.relative).name.upper() == "DICOMDIR":
            from deidentifier.offline.media import is_media_directory, listed_files  # which read with pydicom

            if single:
                yield from _listed(entry, listed_files(storage.read(entry.location)))
                return
            if is_media_directory(storage.read(entry.location)):
                return
        yield named
    except ResearchPacsError as exc:
        yield replace(named, problem=exc)


def _listed(entry: Entry, files: list[str]) -> Iterator[Input]:
    """Return the files that a DICOMDIR lists, refusing what leads out of its folder."""
    root = entry.location[: -len(entry.relative)].rstrip("/") or "."
    for relative in files:
        if not _is_safe(relative):
            yield Input(entry.location, entry.relative, problem=RefusedError("the DICOMDIR lists a file outside"))
        else:
            yield Input(join(root, relative), relative)


def _members(archive: Input, file: BinaryIO, max_inflated: int) -> Iterator[Input]:
    """List an archive's members, refusing what leads out of it and what would grow beyond the limit."""
    try:
        with zipfile.ZipFile(file) as opened:
            infos = [info for info in opened.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError):
        raise InvalidDicomError("the ZIP archive is damaged") from None
    if sum(info.file_size for info in infos) > max_inflated:
        raise RefusedError(f"the ZIP archive would grow beyond {max_inflated} bytes")
    for info in infos:
        name = info.filename.replace("\\", "/")
        member = Input(archive.location, f"{archive.relative}/{name}", info.filename)
        if not _is_safe(name):
            member = replace(member, relative=archive.relative, problem=RefusedError("the member leads out of the ZIP"))
        elif info.flag_bits & 1:
            member = replace(member, problem=RefusedError("the member is encrypted"))
        elif info.compress_type not in _READABLE:
            member = replace(member, problem=RefusedError("the member's compression is neither none nor deflate"))
        elif PurePosixPath(name).name.upper() == "DICOMDIR":
            continue
        yield member


def _is_safe(name: str) -> bool:
    """Tell whether a relative path stays below where it starts, on every system."""
    parts = name.split("/")
    return not (name.startswith("/") or ".." in parts or "" in parts or "\0" in name or ":" in parts[0])


def read_input(source: Input, storage: Storage, max_inflated: int) -> bytes:
    """Return the bytes of an input.

    Raises
    ------
    InvalidDicomError
        A member of an archive is damaged.
    RefusedError
        A member grows beyond the limit, or what the search found out.
    NotFoundError, StorageUnavailableError
    """
    if source.problem is not None:
        raise source.problem
    if source.member is None:
        return storage.read(source.location)
    with storage.open(source.location) as file:
        return _read_member(file, source.member, max_inflated)


def _read_member(file: BinaryIO, name: str, max_inflated: int) -> bytes:
    """Inflate a member piece by piece: what the archive says about its size need not be true."""
    pieces = bytearray()
    try:
        with zipfile.ZipFile(file) as archive, archive.open(name) as member:
            while piece := member.read(_CHUNK):
                pieces += piece
                if len(pieces) > max_inflated:
                    raise RefusedError(f"the member grows beyond {max_inflated} bytes")
    except KeyError:
        raise NotFoundError("the archive has no such member") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError):
        raise InvalidDicomError("the member of the ZIP archive is damaged") from None
    return bytes(pieces)


def output_path(relative: str) -> str:
    """Return the path of a result for an input's: the same, below the output."""
    return os.path.normpath(relative).replace(os.sep, "/")
