"""Files on disk and in S3 by location (a path or ``s3://bucket/key``), and files that are watched.

Names and keys of DICOM files carry patients' names, so no message of an error here holds one; whoever may show a
location (a command on its own terminal) adds it.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from typing import TYPE_CHECKING, BinaryIO, Generic, TypeVar

from common.errors import NotFoundError, RefusedError, ResearchPacsError
from common.file_errors import file_errors

if TYPE_CHECKING:
    from common.storage_s3 import S3

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A file that was listed: its location, size in bytes, and its path relative to what was listed."""

    location: str
    size: int
    relative: str


class Storage:
    """Reads, writes and lists locations; safe to share between threads.

    Parameters
    ----------
    endpoint
        Base URL of another S3 server than Amazon's (``RPACS_S3_ENDPOINT``), addressed by path.
    region
        AWS region (``AWS_REGION``).
    """

    def __init__(self, *, endpoint: str = "", region: str = "") -> None:
        self._endpoint = endpoint
        self._region = region
        self._lock = threading.Lock()
        self._objects: S3 | None = None

    @property
    def _s3(self) -> S3:
        """Objects in S3, reached on first use: local files need neither boto3, half of a command's start, nor AWS."""
        with self._lock:
            if self._objects is None:
                from common.storage_s3 import S3

                self._objects = S3(endpoint=self._endpoint, region=self._region)
            return self._objects

    def read(self, location: str) -> bytes:
        """Return the bytes of a file; raises as :meth:`read_version`."""
        return self.read_version(location)[0]

    def read_version(self, location: str) -> tuple[bytes, str]:
        """Return the bytes of a file and the version (see :meth:`version`) that they are.

        Raises
        ------
        NotFoundError, RefusedError, StorageUnavailableError
        """
        if is_s3(location):
            return self._s3.read_version(location)
        with file_errors(), open(location, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            return file.read(), _local_version(status)

    def version(self, location: str) -> str:
        """Return a text that changes when the file does: the ETag, or modification time, size and inode."""
        if is_s3(location):
            return self._s3.version(location)
        with file_errors():
            return _local_version(os.stat(location))

    def write(self, location: str, *parts: bytes | memoryview) -> None:
        """Write a file of some parts, whole or not at all; folders are made as needed.

        Raises
        ------
        RefusedError, StorageFullError, StorageUnavailableError, NotFoundError
        """
        if is_s3(location):
            self._s3.write(location, b"".join(parts))
        else:
            with file_errors():
                _write_local(location, parts)

    def write_once(self, location: str, *parts: bytes | memoryview) -> bool:
        """Write a file unless there is one; tell whether the location now holds these bytes."""
        if not is_s3(location):
            with file_errors():
                if _write_local(location, parts, replace=False):
                    return True
        try:
            return self.read(location) == b"".join(parts)
        except NotFoundError:
            self.write(location, *parts)
            return True

    @contextmanager
    def open(self, location: str) -> Iterator[BinaryIO]:
        """Open a file for reading at any position; an object of S3 is brought into a temporary file first."""
        if is_s3(location):
            with self._s3.open(location) as file:
                yield file
            return
        with file_errors():
            file = open(location, "rb")  # noqa: SIM115  closed below, so that errors of the body stay as they are
        with file:
            yield file

    def list(self, location: str) -> Iterator[Entry]:
        """List a file, a folder with all below it, an object, or all objects under a prefix; sorted by name.

        Raises
        ------
        NotFoundError
            There is nothing at all.
        """
        if is_s3(location):
            yield from self._s3.list(location)
        else:
            with file_errors():
                yield from _list_local(location)


def is_s3(location: str) -> bool:
    """Tell whether a location is in S3."""
    return location.startswith("s3://")


def split_s3(location: str, *, key_required: bool = True) -> tuple[str, str]:
    """Split ``s3://bucket/key``; raises :class:`~common.errors.RefusedError` where a part is missing."""
    bucket, _, key = location.removeprefix("s3://").partition("/")
    if not bucket or (key_required and not key):
        raise RefusedError("a location in S3 must be s3://bucket/key")
    return bucket, key


def join(location: str, relative: str) -> str:
    """Return the location of a relative path below a folder or prefix."""
    if is_s3(location):
        return f"{location.rstrip('/')}/{relative}"
    return os.path.join(location, *relative.split("/"))


def _list_local(location: str) -> Iterator[Entry]:
    if not os.path.isdir(location):
        yield Entry(location, os.stat(location).st_size, os.path.basename(location))
        return
    yield from _list_folder(location, "")


def _list_folder(folder: str, prefix: str) -> Iterator[Entry]:
    """List a folder's files, sorted by name, then those of its folders; links to folders are not followed."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    folders = []
    for entry in entries:
        if entry.is_dir():
            folders.append(entry)
        elif entry.is_file():
            yield Entry(entry.path, entry.stat().st_size, prefix + entry.name)
    for entry in folders:
        if not entry.is_symlink():
            yield from _list_folder(entry.path, f"{prefix}{entry.name}/")


def _local_version(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_size}-{status.st_ino}"


def _write_local(path: str, parts: Sequence[bytes | memoryview], *, replace: bool = True) -> bool:
    """Write by way of a temporary file; False where the path exists and is not to be replaced."""
    temporary = os.path.join(os.path.dirname(path), f".partial-{secrets.token_hex(8)}")
    file = _create(temporary)
    try:
        with file:
            for part in parts:
                _write_all(file, part)
        if replace:
            os.replace(temporary, path)
            return True
        os.link(temporary, path)  # which, other than renaming, never replaces
    except FileExistsError:
        _remove(temporary)
        return False
    except BaseException:
        _remove(temporary)
        raise
    _remove(temporary)
    return True


def _write_all(file: FileIO, data: bytes | memoryview) -> None:
    """Write everything: one call of the system writes at most 2 GB, or less where the disk fills."""
    rest = memoryview(data)
    while len(rest):
        rest = rest[file.write(rest) :]


def _remove(path: str) -> None:
    with suppress(OSError):  # what cannot be removed is no reason to hide what went wrong
        os.unlink(path)


def _create(path: str) -> FileIO:
    """Create a file that was not there, and its folder where that is missing; the process's umask gives the rights."""
    try:
        return open(path, "xb", buffering=0)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return open(path, "xb", buffering=0)


class WatchedFile(Generic[T]):
    """A file that is read again when it changes; a bad edit keeps the last good value in force.

    Parameters
    ----------
    location
        A path or ``s3://bucket/key``.
    parse
        Makes the value of the bytes; raises one of our errors where they are wrong.
    storage
        Reads the location.
    interval
        Seconds between two looks at the version.
    clock
        Returns seconds that only grow.

    Raises
    ------
    ResearchPacsError
        The first load fails: there is no good value to keep.
    """

    def __init__(
        self,
        location: str,
        parse: Callable[[bytes], T],
        *,
        storage: Storage,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.location = location
        self._parse = parse
        self._storage = storage
        self._interval = interval
        self._clock = clock
        self._lock = threading.Lock()
        data, self._seen = storage.read_version(location)
        self._value = parse(data)
        self._checked = clock()
        self._refused: ResearchPacsError | None = None
        self.version = self._seen
        """Version of the value in force."""
        self.error: ResearchPacsError | None = None
        """Why the latest version is not in force; None while it is."""

    @property
    def value(self) -> T:
        """The last good value, after looking for a newer one at most every ``interval`` seconds."""
        with self._lock:
            if self._clock() - self._checked >= self._interval:
                self._checked = self._clock()
                self._refresh()
            return self._value

    def _refresh(self) -> None:
        try:
            if self._storage.version(self.location) != self._seen:
                data, self._seen = self._storage.read_version(self.location)
                self._try(data)
            self.error = self._refused
        except ResearchPacsError as exc:
            self.error = exc

    def _try(self, data: bytes) -> None:
        """Put the version just read in force, or remember why it is not."""
        try:
            self._value, self.version, self._refused = self._parse(data), self._seen, None
        except ResearchPacsError as exc:
            self._refused = exc
