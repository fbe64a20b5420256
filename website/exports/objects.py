"""What is made of an instance: the file as it is, another file, pictures of its frames, its elements as JSON."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import IO, Any, BinaryIO, cast

from urllib3 import BaseHTTPResponse

from common.dicom_json import element_document
from common.errors import (
    InvalidDicomError,
    NotFoundError,
    OrthancUnavailableError,
    PermanentError,
    RefusedError,
    ResearchPacsError,
)
from common.frames import count_frames, export_frames
from common.orthanc import Orthanc
from common.transcoding import transcode, transcode_file
from website.exports.bucket import PART, Bucket, ChecksumError, Sent
from website.exports.choices import UIDS, Choices
from website.exports.items import Item
from website.exports.keys import ENDINGS, frame_suffixes
from website.index import IndexDocument

CHUNK = 1 << 20
IN_MEMORY = PART // 2
"""Larger files are streamed, or spooled to a temporary file where they have to be read at any place."""
# Bounds the memory of a process, whatever the number of jobs and threads.
_large = threading.BoundedSemaphore(2)
_MD5 = re.compile("[0-9a-f]{32}")
_MODES = {"png": "png", "png-windowed": "png-windowed", "jpeg": "jpeg"}


class ObjectMaker:
    """Makes and sends the objects of one instance after the other; safe to share between threads.

    Parameters
    ----------
    stopping
        Tells whether to give up now, in the middle of a large object.
    """

    def __init__(self, orthanc: Orthanc, bucket: Bucket, choices: Choices, stopping: Callable[[], bool]) -> None:
        self._orthanc, self._bucket = orthanc, bucket
        self._choices, self._stopping = choices, stopping

    def send(self, item: Item, document: IndexDocument) -> list[Sent]:
        """Make and send the objects of an instance.

        Raises
        ------
        NotFoundError
            The instance is gone, or has no image.
        InvalidDicomError, QuarantineError
            Its pixels cannot be read, or not be written so.
        RefusedError
            Its frames are too large or of a kind that a picture cannot hold; or S3 refuses.
        OrthancUnavailableError, StorageUnavailableError
            Worth another try.
        """
        sent: list[Sent] = []
        try:
            if self._choices.format != "json":
                sent.extend(self._send_file(item))
            if self._choices.needs_elements:
                sent.append(self._bucket.put(f"{item.key}.json", _elements(document)))
        except PermanentError:
            self._take_back(sent)
            raise
        return sent

    def _take_back(self, sent: Sequence[Sent]) -> None:
        """Delete the first objects of an instance of which others cannot be made: no manifest will name them."""
        for each in sent:
            with suppress(ResearchPacsError):
                self._bucket.delete(each.key)

    def _send_file(self, item: Item) -> list[Sent]:
        data = self._download(item.instance)
        if data is None:
            return self._send_large(item)
        if self._choices.format == "dicom":
            return [self._send_stored(item, data)]
        with _large if len(data) > IN_MEMORY // 2 else nullcontext():
            return self._send_made(item, io.BytesIO(data), len(data))

    def _send_stored(self, item: Item, data: bytes) -> Sent:
        """Send a file as it is, held to what Orthanc took it in as: half the time of a sum of our own."""
        key = item.key + ENDINGS["dicom"]
        md5 = self._stored_md5(item.instance) if self._bucket.verifies_md5 else ""
        try:
            return self._bucket.put(key, data, md5)
        except ChecksumError:
            wrong = md5 and hashlib.md5(data, usedforsecurity=False).hexdigest() != md5
            if wrong and self._download(item.instance) == data:
                raise InvalidDicomError("The archive's file is damaged: it is not what was stored (MD5).") from None
            raise  # damaged on the way, or replaced in the meantime: another try mends both

    def _stored_md5(self, instance: str) -> str:
        """Return the MD5 that Orthanc knows; empty where it was told to keep none."""
        try:
            md5 = self._orthanc.instance_md5(instance)
        except NotFoundError:
            return ""
        return md5 if _MD5.fullmatch(md5) else ""

    def _send_large(self, item: Item) -> list[Sent]:
        with _large, self._stream(item.instance) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            chunks = _checked(answer.stream(CHUNK), size)
            if self._choices.format == "dicom":
                return [self._bucket.put_stream(item.key + ENDINGS["dicom"], chunks, self._stopping)]
            with _spooled(chunks, self._stopping) as file:
                return self._send_made(item, file, size)

    def _download(self, instance: str) -> bytes | None:
        """Return the file; None where it is large."""
        try:
            return self._orthanc.download_small(instance, IN_MEMORY)
        except RefusedError as exc:
            # Orthanc refuses *us*: a person mends that, and the instance is still good.
            raise OrthancUnavailableError(str(exc)) from exc

    @contextmanager
    def _stream(self, instance: str) -> Iterator[BaseHTTPResponse]:
        try:
            stream = self._orthanc.stream(f"/instances/{instance}/file")
            answer = stream.__enter__()
        except RefusedError as exc:
            raise OrthancUnavailableError(str(exc)) from exc
        with ExitStack() as stack:
            stack.push(stream)
            yield answer

    def _send_made(self, item: Item, file: IO[bytes], size: int) -> list[Sent]:
        format = self._choices.format
        if format == "transcoded":
            return [self._send_transcoded(item.key + ENDINGS[format], file, size)]
        suffixes = frame_suffixes(count_frames(file))
        sent: list[Sent] = []
        try:
            for suffix, picture in zip(suffixes, export_frames(file, _MODES[format]), strict=True):
                if self._stopping():
                    raise OrthancUnavailableError("the export is being stopped")
                sent.append(self._bucket.put(f"{item.key}{suffix}{ENDINGS[format]}", picture))
        except PermanentError:
            self._take_back(sent)
            raise
        return sent

    def _send_transcoded(self, key: str, file: IO[bytes], size: int) -> Sent:
        target = UIDS[self._choices.transfer_syntax]
        if size <= IN_MEMORY:
            return self._bucket.put(key, transcode(file.read(), target))
        with tempfile.TemporaryFile(buffering=0) as raw, _Stoppable(raw, self._stopping) as out:
            transcode_file(cast(BinaryIO, file), target, out)
            out.seek(0)
            return self._bucket.put_stream(key, iter(lambda: out.read(CHUNK), b""), self._stopping)


class _Stoppable(io.BufferedRandom):
    """A file that takes nothing more once the export is being stopped: its large frames may go on for minutes."""

    def __init__(self, raw: io.FileIO, stopping: Callable[[], bool]) -> None:
        super().__init__(raw)
        self._stopping = stopping

    def write(self, data: Any, /) -> int:
        if self._stopping():
            raise OrthancUnavailableError("the export is being stopped")
        return super().write(data)


def _elements(document: IndexDocument) -> bytes:
    return json.dumps(element_document(document.elements), ensure_ascii=False, indent=1).encode() + b"\n"


def _checked(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Hand on an answer, and fail at its end where it is shorter than was said: half a file is none."""
    received = 0
    for chunk in chunks:
        received += len(chunk)
        yield chunk
    if size and received != size:
        raise OrthancUnavailableError("Orthanc's answer broke off")


@contextmanager
def _spooled(chunks: Iterator[bytes], stopping: Callable[[], bool]) -> Iterator[IO[bytes]]:
    """Yield a file that can be read at any place; large ones lie on disk, unlinked."""
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
        for chunk in chunks:
            if stopping():
                raise OrthancUnavailableError("the export is being stopped")
            file.write(chunk)
        file.seek(0)
        yield file
