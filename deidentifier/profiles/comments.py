"""What compressed frames carry besides the picture: comments, application data, thumbnails, bytes after its end.

Encoders and converters write free text there (JPEG: COM and APPn, ISO 10918-1 B.2.4.5 and B.2.4.6; JPEG-LS: ISO 14495-1
C.2; JPEG 2000: COM, ISO 15444-1 A.9.2, and boxes around the codestream, annex I). It is overwritten with zeros where it
stands, so that no length and no offset changes. What decoders need stays, and so does the name of an encoder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from common.dicom_dataset import Element
from common.dicom_scan import Scan, scan_dataset
from common.errors import QuarantineError
from deidentifier.profiles.run_lengths import superfluous_in_rle

Range = tuple[int, int]

_END_OF_IMAGE, _START_OF_SCAN, _COMMENT = 0xD9, 0xDA, 0xFE
_APPLICATION = range(0xE0, 0xF0)
# The next marker in the data of a scan, where 00 (JPEG) or a bit of 0 (JPEG-LS) follows any other FF.
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")
# The application data that say how the numbers become colours, and their length; a JFIF thumbnail begins at 12.
_NEEDED = ((b"JFIF\0", 12), (b"Adobe", 12), (b"SPIFF\0", 30), (b"\0\0\0\1", 6), (b"mrfx", 5))
# What encoders say of themselves: names and versions of programs, nothing else.
_ENCODER = re.compile(
    rb"(Created by (GDCM/)?OpenJPEG version [\d.]+|Kakadu-v?[\d.]+|Kakadu-[\d.]+|Creator: JasPer Version [\d.]+"
    rb"|Aware, Inc\.? ?[\w. ]{0,20}|LEAD Technologies(,? Inc\.?)? ?[Vv\d. ]{0,12}|Intel\(R\) IPP [\w .()]{0,40}"
    rb"|CREATOR: gd-jpeg v[\d.]+ \(using IJG JPEG v\d+\), quality = \d+\s*)\0*"
)
_SOT, _SOD, _EOC, _JPEG_2000_COMMENT = 0xFF90, 0xFF93, 0xFFD9, 0xFF64
_SIGNATURE = b"\0\0\0\x0cjP  "
_BOXES = (b"jP  ", b"ftyp", b"rreq", b"jp2h")
_RLE_LOSSLESS = "1.2.840.10008.1.2.5"
_ITEM = b"\xfe\xff\x00\xe0"
_BEGINNINGS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", _SIGNATURE)
# PS3.6 table A-1: JPEG, JPEG-LS, JPEG 2000, HTJ2K. Not here: JPIP (no pixels), MPEG, JPEG XL.
_STILL = frozenset(
    f"1.2.840.10008.1.2.4.{number}" for number in (*range(50, 67), 70, 80, 81, 90, 91, 92, 93, 201, 202, 203)
)


def clear_comments(original: Scan, pixels: Element, numbers: Mapping[int, int]) -> Scan:
    """Return an original whose compressed frames carry the picture alone; the same one where they do already.

    Parameters
    ----------
    numbers
        What describes the pixels, by tag.

    Raises
    ------
    QuarantineError
        The frames are damaged, or in a format that is not known here: video.
    """
    rle = original.transfer_syntax == _RLE_LOSSLESS
    if not rle and original.transfer_syntax not in _STILL:
        raise QuarantineError("video and other streams may carry text, which is not looked for: KeepTags PixelData")
    found = [*_of_offset_table(original.data, pixels)]
    for frame in _frames(original.data, pixels, rle):
        joined = b"".join(original.data[start:end] for start, end in frame)
        parts = superfluous_in_rle(joined, numbers) if rle else superfluous(joined)
        found += [part for each in parts if any(joined[slice(*each)]) for part in _placed(each, frame)]
    return _zeroed(original, found) if found else original


def _of_offset_table(data: bytes, pixels: Element) -> Iterator[Range]:
    """Yield the entries of the offset table that lead to no fragment: text may stand in their place."""
    (start, end), *fragments = [*_fragments(data, pixels)] or [(0, 0)]
    places = {begin - 8 - end for begin, _ in fragments}
    for at in range(start, end, 4):
        if int.from_bytes(data[at : at + 4], "little") not in places:
            yield at, min(at + 4, end)


def _frames(data: bytes, pixels: Element, rle: bool) -> Iterator[list[Range]]:
    """Yield the fragments of each frame: one begins where a fragment begins like a codestream (PS3.5 A.4).

    A frame of RLE is one fragment.
    """
    frame: list[Range] = []
    for start, end in list(_fragments(data, pixels))[1:]:  # the first is the offset table
        if frame and (rle or data.startswith(_BEGINNINGS, start, end)):
            yield frame
            frame = []
        frame.append((start, end))
    if frame:
        yield frame


def _fragments(data: bytes, pixels: Element) -> Iterator[Range]:
    at = pixels[2]
    while data[at : at + 4] == _ITEM:
        start = at + 8
        at = start + int.from_bytes(data[at + 4 : start], "little")
        yield start, at


def _placed(part: Range, frame: Sequence[Range]) -> Iterator[Range]:
    """Yield where in the file a part of a frame lies: its fragments do not follow each other closely."""
    before = 0
    for start, end in frame:
        first, last = max(part[0] - before, 0), min(part[1] - before, end - start)
        if first < last:
            yield start + first, start + last
        before += end - start


def _zeroed(original: Scan, parts: Sequence[Range]) -> Scan:
    data = bytearray(original.data[original.dataset.start : original.dataset.end])
    for start, end in parts:
        data[start - original.dataset.start : end - original.dataset.start] = bytes(end - start)
    found = scan_dataset(bytes(data), original.transfer_syntax)
    found.meta = original.meta
    return found


def superfluous(data: bytes) -> list[Range]:
    """Return the bytes of a compressed frame that the picture does not need.

    Parameters
    ----------
    data
        A codestream of JPEG, JPEG-LS or JPEG 2000, with what follows it.

    Raises
    ------
    QuarantineError
        It cannot be followed to its end.
    """
    try:
        if data.startswith(_SIGNATURE):
            return list(_of_boxes(data))
        walk = _of_jpeg_2000 if data.startswith(b"\xff\x4f\xff\x51") else _of_jpeg
        return list(walk(data, 0, len(data)))
    except (IndexError, ValueError) as exc:
        raise QuarantineError("a compressed frame is damaged: what else it carries cannot be told") from exc


def _of_jpeg(data: bytes, at: int, end: int) -> Iterator[Range]:
    if data[at : at + 2] != b"\xff\xd8":
        raise ValueError("no start of image")
    at += 2
    while data[at + 1] != _END_OF_IMAGE:
        if data[at] != 0xFF:
            raise ValueError("no marker")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        after = at + 2 + _length(data, at + 2, end)
        if marker == _COMMENT or marker in _APPLICATION:
            yield from _text(data, at + 4, after, marker)
        at = after
        if marker == _START_OF_SCAN:
            found = _MARKER.search(data, at, end)
            if found is None:  # the end is missing, which decoders forgive
                return
            at = found.start()
    yield from _behind(data, at + 2, end)


def _text(data: bytes, start: int, end: int, marker: int) -> Iterator[Range]:
    content = data[start:end]
    if marker == _COMMENT:
        kept = len(content) if _ENCODER.fullmatch(content) else 0
    else:
        kept = next((size for name, size in _NEEDED if content.startswith(name)), 0)
    yield from _filled(data, start + kept, end)


def _of_jpeg_2000(data: bytes, at: int, end: int) -> Iterator[Range]:
    at += 2
    tile, following = at, end
    while (marker := int.from_bytes(data[at : at + 2], "big")) != _EOC:
        if marker == _SOD:
            at = following
            if at >= end - 1:  # the last tile-part may reach to the end, where EOC is missing
                return
            continue
        after = at + 2 + _length(data, at + 2, end)
        if marker == _SOT:
            tile, size = at, int.from_bytes(data[at + 6 : at + 10], "big")
            following = tile + size if size else data.rindex(b"\xff\xd9", at, end)
            if not after <= following <= end:
                raise ValueError("a tile-part that is longer than the data")
        elif marker == _JPEG_2000_COMMENT and not _ENCODER.fullmatch(data[at + 6 : after]):
            yield from _filled(data, at + 6, after)
        at = after
    yield from _behind(data, at + 2, end)


def _of_boxes(data: bytes) -> Iterator[Range]:
    """Walk over the boxes of a JP2 file, which DICOM does not want but some encoders write."""
    at = 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + size if size else len(data)
        if size == 1 or not at + 8 <= end <= len(data):
            raise ValueError("a box that is longer than the data")
        if kind == b"jp2c":
            yield from _of_jpeg_2000(data, at + 8, end)
        elif kind not in _BOXES:
            yield from _filled(data, at + 8, end)
        at = end
        if not any(data[at:]):
            return
    yield from _filled(data, at, len(data))


def _length(data: bytes, at: int, end: int) -> int:
    """Return the length that stands at the beginning of a segment."""
    length = int.from_bytes(data[at : at + 2], "big")
    if length < 2 or at + length > end:
        raise ValueError("a segment that is longer than the data")
    return length


def _behind(data: bytes, start: int, end: int) -> Iterator[Range]:
    """Yield what follows the end of a codestream, but for one byte that makes the length even."""
    if end - start > 1:
        yield from _filled(data, start, end)


def _filled(data: bytes, start: int, end: int) -> Iterator[Range]:
    """Yield a range if there is anything in it."""
    if any(data[start:end]):
        yield start, end
