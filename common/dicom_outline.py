"""A file without its bulk: read from a stream, so that an index of large files needs no memory for their pixels.

What is left is scanned as the whole file would be, and has the same elements. Of long binary values on the top level
(OB, OW, OF, OD, OL, OV; PS3.5 6.2) the first bytes stay, of encapsulated ones the end: whoever reads texts reads no
more of them than that there is something.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from common.dicom_head import EXPLICIT, IMPLICIT, ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, Head, Syntax
from common.dicom_scan import DEFLATED, detect_syntax
from common.dicom_text import strip_padding
from common.dicom_walk import MAX_DEPTH
from common.errors import InvalidDicomError

LONG, KEPT = 1 << 16, 2
"""Bytes from which on a value is bulk, and how many of them stay."""


class Outline(NamedTuple):
    """What is left of a file, and how many bytes it had."""

    data: bytes
    size: int


def outline(chunks: Iterable[bytes]) -> Outline:
    """Read a DICOM file to its end and leave out its bulk.

    What :func:`common.dicom_scan.scan` refuses of the file it refuses of the outline, where that is not done here.

    Raises
    ------
    InvalidDicomError
        The file is damaged.
    """
    stream = _Stream(chunks)
    try:
        _Reader(stream).read()
    except struct.error as exc:
        raise InvalidDicomError("the file ends in the middle of an element's header") from exc
    return Outline(bytes(stream.kept), stream.read)


class _Stream:
    """A stream of bytes of which some are kept."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._ahead = bytearray()
        self.kept = bytearray()
        self.read = 0

    def peek(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end of the stream."""
        while len(self._ahead) < count and self._more():
            pass
        return bytes(self._ahead[:count])

    def take(self, count: int) -> None:
        """Keep the next bytes, as many as there are."""
        self._pass(count, keep=True)

    def skip(self, count: int) -> bool:
        """Leave the next bytes out; tells whether there were as many."""
        return self._pass(count, keep=False) == 0

    def take_rest(self) -> None:
        """Keep all that comes."""
        while self._ahead or self._more():
            self.take(len(self._ahead))

    def _pass(self, count: int, *, keep: bool) -> int:
        while count and (self._ahead or self._more()):
            part = min(count, len(self._ahead))
            if keep:
                self.kept += self._ahead[:part]
            del self._ahead[:part]
            count -= part
        return count

    def _more(self) -> bool:
        chunk = next(self._chunks, b"")
        self._ahead += chunk
        self.read += len(chunk)
        return bool(chunk)


class _Reader:
    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._syntax = EXPLICIT

    def read(self) -> None:
        """Read the file: preamble, file meta information, data set (PS3.10 7.1)."""
        if self._stream.peek(132)[128:] == b"DICM":
            self._stream.take(132)
        declared = self._read_meta()
        start = self._stream.peek(8)
        if declared != DEFLATED and len(start) == 8:
            self._syntax = detect_syntax(start, 0, declared)
            self._read_elements()
        # What is no element stays as it is: a deflated data set, bytes after the end.
        self._stream.take_rest()

    def _read_meta(self) -> str:
        declared = ""
        while (key := self._stream.peek(12))[:2] == b"\x02\x00":
            head, header, length = _header(EXPLICIT, key)
            before = len(self._stream.kept)
            self._stream.take(header + length)
            if head.tag == 0x00020010:
                declared = strip_padding(bytes(self._stream.kept[before + header :])).decode("latin-1")
        return declared

    def _read_elements(self) -> None:
        last = -1
        while len(key := self._stream.peek(12)) >= 8:
            head, header, length = _header(self._syntax, key)
            if head.tag in (ITEM, ITEM_END, SEQUENCE_END) or head.tag < last:
                return
            last = head.tag
            if length == UNDEFINED:
                self._read_undefined(self._syntax, head, header, 0)
            elif head.holds_fragments and length >= LONG:
                self._shorten(key[:header], self._syntax.with_length(key, 0, head, KEPT), length)
            else:
                self._stream.take(header + length)

    def _shorten(self, header: bytes, shorter: bytes, length: int) -> None:
        kept = self._stream.kept
        at = len(kept)
        kept += shorter
        self._stream.skip(len(header))
        self._stream.take(KEPT)
        if not self._stream.skip(length - KEPT):
            # It goes beyond the end of the file, and shall go beyond that of the outline.
            kept[at : at + len(header)] = header

    def _read_undefined(self, syntax: Syntax, head: Head, header: int, depth: int) -> None:
        """Read an element of undefined length: fragments, or a sequence (PS3.5 7.5, A.4, 6.2.2)."""
        self._stream.take(header)
        if head.holds_fragments:
            self._skip_fragments(syntax, keep=depth > 0)
        elif depth > MAX_DEPTH:
            raise InvalidDicomError(f"sequences nested deeper than {MAX_DEPTH}")
        else:
            self._read_items(IMPLICIT if head.written == "UN" else syntax, depth)

    def _skip_fragments(self, syntax: Syntax, *, keep: bool) -> None:
        while (kind := self._item(syntax))[0] == "item":
            if keep:
                self._stream.take(8 + kind[1])
            else:
                self._stream.skip(8 + kind[1])
        if kind[0] != "sequence end":
            raise InvalidDicomError("encapsulated pixel data do not end")
        self._stream.take(8)

    def _read_items(self, syntax: Syntax, depth: int) -> None:
        while (kind := self._item(syntax))[0] == "item":
            self._stream.take(8)
            if kind[1] != UNDEFINED:
                self._stream.take(kind[1])
                continue
            while self._item(syntax)[0] != "item end":
                head, header, length = _header(syntax, self._stream.peek(12))
                if length == UNDEFINED:
                    self._read_undefined(syntax, head, header, depth + 1)
                else:
                    self._stream.take(header + length)
            self._stream.take(8)
        if kind[0] != "sequence end":
            raise InvalidDicomError("a sequence is damaged")
        self._stream.take(8)

    def _item(self, syntax: Syntax) -> tuple[str, int]:
        return syntax.item_header(self._stream.peek(8), 0, len(self._stream.peek(8)))


def _header(syntax: Syntax, key: bytes) -> tuple[Head, int, int]:
    """Return what an element is, the size of its header, and the length of its value."""
    head = syntax.head(key[:8])
    if head.length_at == 6:
        return head, 8, syntax.short(key, 6)[0]
    return head, head.length_at + 4, syntax.long(key, head.length_at)[0]
