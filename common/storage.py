"""Files on disk and in S3 by location (a path or ``s3://bucket/key``), and files that are watched.

Names and keys of DICOM files carry patients' names, so no message of an error here holds one; whoever may show a
location (a command on its own terminal) adds it.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, TypeVar, cast

from common.errors import NotFoundError, RefusedError, ResearchPacsError
from common.storage_errors import typed_errors

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

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
        self._client: S3Client | None = None

    @property
    def client(self) -> S3Client:
        """The S3 client, made on first use: local files need no AWS configuration."""
        with self._lock:
            if self._client is None:
                # Half of a command's start, for nothing where all files are local.
                import boto3
                from botocore.config import Config

                # A session of our own: boto3's default one keeps the credentials that it saw first.
                self._client = boto3.Session().client(
                    "s3",
                    endpoint_url=self._endpoint or None,
                    region_name=self._region or None,
                    config=Config(
                        connect_timeout=5,
                        read_timeout=60,
                        retries={"mode": "standard", "max_attempts": 3},
                        signature_version="s3v4",
                        s3={"addressing_style": "path"} if self._endpoint else {},
                        # Servers other than Amazon's refuse the trailing checksums that boto3 adds by default.
                        request_checksum_calculation="when_required",
                        response_checksum_validation="when_required",
                    ),
                )
            return self._client

    def read(self, location: str) -> bytes:
        """Return the bytes of a file; raises as :meth:`read_version`."""
        return self.read_version(location)[0]

    def read_version(self, location: str) -> tuple[bytes, str]:
        """Return the bytes of a file and the version (see :meth:`version`) that they are.

        Raises
        ------
        NotFoundError, RefusedError, StorageUnavailableError
        """
        with typed_errors():
            if is_s3(location):
                bucket, key = split_s3(location)
                answer = self.client.get_object(Bucket=bucket, Key=key)
                return answer["Body"].read(), answer["ETag"]
            with open(location, "rb") as file:
                version = _local_version(os.fstat(file.fileno()))
                return file.read(), version

    def version(self, location: str) -> str:
        """Return a text that changes when the file does: the ETag, or modification time, size and inode."""
        with typed_errors():
            if is_s3(location):
                bucket, key = split_s3(location)
                return str(self.client.head_object(Bucket=bucket, Key=key)["ETag"])
            return _local_version(os.stat(location))

    def write(self, location: str, data: bytes) -> None:
        """Write a file whole or not at all; folders are made as needed.

        Raises
        ------
        RefusedError, StorageFullError, StorageUnavailableError, NotFoundError
        """
        with typed_errors():
            if is_s3(location):
                bucket, key = split_s3(location)
                self.client.put_object(Bucket=bucket, Key=key, Body=data)
            else:
                _write_local(Path(location), data)

    def write_once(self, location: str, data: bytes) -> bool:
        """Write a file unless there is one; tell whether the location now holds these bytes."""
        with typed_errors():
            if not is_s3(location) and _write_local(Path(location), data, replace=False):
                return True
        try:
            return self.read(location) == data
        except NotFoundError:
            self.write(location, data)
            return True

    @contextmanager
    def open(self, location: str) -> Iterator[BinaryIO]:
        """Open a file for reading at any position; an object of S3 is brought into a temporary file first."""
        if not is_s3(location):
            with typed_errors():
                file = open(location, "rb")  # noqa: SIM115  closed below, so that errors of the body stay as they are
            with file:
                yield file
            return
        with tempfile.TemporaryFile() as spool:
            with typed_errors():
                bucket, key = split_s3(location)
                self.client.download_fileobj(bucket, key, cast(Any, spool))
            spool.seek(0)
            yield cast(BinaryIO, spool)

    def list(self, location: str) -> Iterator[Entry]:
        """List a file, a folder with all below it, an object, or all objects under a prefix; sorted by name.

        Raises
        ------
        NotFoundError
            There is nothing at all.
        """
        with typed_errors():
            entries = self._list_s3(location) if is_s3(location) else _list_local(Path(location))
            count = 0
            for count, entry in enumerate(entries, 1):  # noqa: B007  the count is used after the loop
                yield entry
        if not count and (is_s3(location) or not os.path.isdir(location)):
            raise NotFoundError("there is nothing at this location")

    def _list_s3(self, location: str) -> Iterator[Entry]:
        bucket, prefix = split_s3(location, key_required=False)
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                key = item["Key"]
                if key.endswith("/") or not _under(key, prefix):
                    continue
                relative = key[len(prefix) :].lstrip("/") or key.rsplit("/", 1)[-1]
                yield Entry(f"s3://{bucket}/{key}", item["Size"], relative)


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


def _under(key: str, prefix: str) -> bool:
    """Tell whether a key is the prefix or below it as a folder: ``a/b`` does not hold ``a/bc``."""
    return not prefix or prefix.endswith("/") or key == prefix or key.startswith(prefix + "/")


def _list_local(path: Path) -> Iterator[Entry]:
    if not path.is_dir():
        yield Entry(str(path), path.stat().st_size, path.name)
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            if file.is_file():
                yield Entry(str(file), file.stat().st_size, file.relative_to(path).as_posix())


def _local_version(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns}-{status.st_size}-{status.st_ino}"


def _write_local(path: Path, data: bytes, *, replace: bool = True) -> bool:
    """Write by way of a temporary file; False where the path exists and is not to be replaced."""
    temporary = path.with_name(f".partial-{secrets.token_hex(8)}")
    file = _create(temporary)
    try:
        with file:
            file.write(data)
        if replace:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)  # which, other than renaming, never replaces
    except FileExistsError:
        return False
    finally:
        with suppress(OSError):  # renamed, it is there no more
            os.unlink(temporary)
    return True


def _create(path: Path) -> BinaryIO:
    """Create a file that was not there, and its folder where that is missing; the process's umask gives the rights."""
    try:
        return open(path, "xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "xb")


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
