"""``multipart/related`` (RFC 2387), written and read as streams."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from common.errors import RefusedError

_HEADERS_END = b"\r\n\r\n"
_MOST_HEADERS = 16 * 1024
_CHUNK = 256 << 10


@dataclass(frozen=True)
class Part:
    """One part: its type (with its parameters), and its bytes as they come."""

    content_type: str
    body: Iterable[bytes]
    location: str = ""


class MultipartWriter:
    """Writes parts; ``content_type`` is that of the whole."""

    def __init__(self, media_type: str) -> None:
        self._boundary = secrets.token_hex(16)
        self.content_type = f'multipart/related; type="{media_type}"; boundary={self._boundary}'

    def head(self, part: Part) -> bytes:
        """Return what stands before a part's bytes."""
        location = f"Content-Location: {part.location}\r\n" if part.location else ""
        return f"--{self._boundary}\r\nContent-Type: {part.content_type}\r\n{location}\r\n".encode("latin-1")

    @property
    def tail(self) -> bytes:
        """What stands after the last part's bytes."""
        return f"\r\n--{self._boundary}--\r\n".encode()

    def stream(self, parts: Iterable[Part]) -> Iterator[bytes]:
        """Yield everything."""
        between = b""
        for part in parts:
            yield between + self.head(part)
            yield from part.body
            between = b"\r\n"
        yield self.tail

    def whole(self, part: Part) -> bytes:
        """Return a multipart of one part at once."""
        return b"".join((self.head(part), *part.body, self.tail))


class MultipartReader:
    """Reads parts one after the other from a stream, without ever holding one.

    Parameters
    ----------
    boundary
        Of the Content-Type, without the two dashes.
    """

    def __init__(self, stream: IO[bytes], boundary: str) -> None:
        self._stream, self._delimiter = stream, b"\r\n--" + boundary.encode("latin-1")
        self._kept, self._done = b"\r\n", False

    def parts(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Yield each part's Content-Type and its bytes, which have to be read before the next one.

        Raises
        ------
        RefusedError
            The body is no multipart, or it breaks off.
        """
        for _ in self._until_delimiter():
            pass  # a preamble is no part
        while self._next():
            yield self._content_type(), self._until_delimiter()

    def _more(self) -> bool:
        data = b"" if self._done else self._stream.read(_CHUNK)
        self._done = not data
        self._kept += data
        return bool(data)

    def _until_delimiter(self) -> Iterator[bytes]:
        while (at := self._kept.find(self._delimiter)) < 0:
            keep = len(self._delimiter) - 1
            if len(self._kept) > keep:
                yield self._kept[:-keep]
                self._kept = self._kept[-keep:]
            if not self._more():
                raise RefusedError("the body is no whole multipart of its boundary")
        if at:
            yield self._kept[:at]
        self._kept = self._kept[at + len(self._delimiter) :]

    def _next(self) -> bool:
        """Tell whether another part follows the delimiter that was just read."""
        while len(self._kept) < 2 and self._more():
            pass
        return not self._kept.startswith(b"--")

    def _content_type(self) -> str:
        while (at := self._kept.find(_HEADERS_END)) < 0:
            if len(self._kept) > _MOST_HEADERS or not self._more():
                raise RefusedError("a part has no end of its headers")
        lines = self._kept[:at].decode("latin-1").split("\r\n")
        self._kept = self._kept[at + len(_HEADERS_END) :]
        headers = dict(line.partition(":")[::2] for line in lines if ":" in line)
        types = [value.strip() for name, value in headers.items() if name.strip().lower() == "content-type"]
        return types[0] if types else ""
