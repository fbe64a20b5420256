"""What a JPEG or JPEG-LS codestream says of itself before its first scan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_START_OF_SCAN = 0xDA
_JPEG_LS = 0xF7
_NO_FRAMES = (0xC4, 0xC8, 0xCC)  # tables and reserved, among the markers of frames
_BLOCK = 8


@dataclass(frozen=True)
class FrameHeader:
    """The frame header (ISO 10918-1 B.2.2, ISO 14495-1 C.2.2); sizes in bits and pixels."""

    marker: int
    precision: int
    rows: int
    columns: int
    components: tuple[tuple[int, int, int, int], ...]
    """Identifier, horizontal and vertical sampling factor, quantisation table of each component."""

    @property
    def unit(self) -> tuple[int, int]:
        """Width and height in pixels of the smallest part in which all components have whole blocks."""
        return _BLOCK * max(row[1] for row in self.components), _BLOCK * max(row[2] for row in self.components)


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the marker and the content of each segment before the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == _START_OF_SCAN:
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length


def read_frame_header(data: bytes) -> FrameHeader:
    """Find the frame header.

    Raises
    ------
    ValueError
        There is none.
    IndexError
        It is damaged.
    """
    for marker, content in segments(data):
        if marker == _JPEG_LS or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES):
            rows = [content[6 + 3 * n : 9 + 3 * n] for n in range(content[5])]
            height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
            components = tuple((row[0], row[1] >> 4, row[1] & 15, row[2]) for row in rows)
            return FrameHeader(marker, content[0], height, width, components)
    raise ValueError("no frame header")
