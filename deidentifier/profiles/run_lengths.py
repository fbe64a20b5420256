"""What RLE frames hold besides the picture: bytes between the header, the segments and the end (PS3.5 annex G).

Nothing in the format says where the runs of a segment end but the number of pixels: they are walked over, not decoded.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from common.errors import QuarantineError

Range = tuple[int, int]

_HEADER = struct.Struct("<16I")
_ROWS, _COLUMNS, _SAMPLES, _ALLOCATED = 0x00280010, 0x00280011, 0x00280002, 0x00280100
_NOTHING = 128
# What a run takes with its first byte, and how many bytes of pixels it stands for (PS3.5 G.3.2).
_TAKES = bytes(number + 2 if number < _NOTHING else 1 if number == _NOTHING else 2 for number in range(256))
_GIVES = [number + 1 if number < _NOTHING else 0 if number == _NOTHING else 257 - number for number in range(256)]


def superfluous_in_rle(data: bytes, numbers: Mapping[int, int]) -> Iterator[Range]:
    """Yield the bytes of a frame that the picture does not need; single ones, which make lengths even, are left out.

    Parameters
    ----------
    data
        The frame.
    numbers
        Rows, Columns, SamplesPerPixel and BitsAllocated by tag.

    Raises
    ------
    QuarantineError
        It cannot be followed to its end.
    """
    try:
        offsets = _offsets(data, numbers)
        count = numbers[_ROWS] * numbers[_COLUMNS]
    except (KeyError, ValueError, struct.error) as exc:
        raise QuarantineError("an RLE frame is damaged: what else it carries cannot be told") from exc
    yield 4 + 4 * len(offsets), _HEADER.size
    yield _HEADER.size, offsets[0]
    takes = data.translate(_TAKES)
    for start, end in zip(offsets, (*offsets[1:], len(data)), strict=True):
        after = _after(data, takes, start, end, count)
        if end - after > 1:
            yield after, end


def _offsets(data: bytes, numbers: Mapping[int, int]) -> tuple[int, ...]:
    """Return where the segments begin; one for each byte of a sample, in this order."""
    count, *offsets = _HEADER.unpack_from(data)
    if numbers[_ALLOCATED] % 8 or count != numbers.get(_SAMPLES, 1) * numbers[_ALLOCATED] // 8:
        raise ValueError("another number of segments")
    found = tuple(offsets[:count])
    if not found or [*found] != sorted({*found}) or found[0] < _HEADER.size or found[-1] > len(data):
        raise ValueError("segments that are not one behind the other")
    return found


def _after(data: bytes, takes: bytes, at: int, end: int, count: int) -> int:
    """Return where the runs of a segment end that give ``count`` bytes; where it is too short, its end."""
    gives, number = _GIVES, _NOTHING
    while count > 0 and at < end:
        number = data[at]
        count -= gives[number]
        at += takes[at]
    # Of the last run, what is copied past the last pixel is seen by nobody.
    return min(at + count if count < 0 and number < _NOTHING else at, end)
