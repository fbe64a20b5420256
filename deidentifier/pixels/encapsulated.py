"""Blackening compressed pixels: only the frames with a box are decoded, the others are copied as they are."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO, cast

from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragmented_frames, parse_basic_offsets, parse_fragments
from pydicom.uid import UID, JPEGBaseline8Bit

from common.errors import QuarantineError
from deidentifier.pixels import codecs
from deidentifier.pixels.boxes import Boxes
from deidentifier.pixels.image import Codestream, Frame, Image
from deidentifier.pixels.jpeg import blacken_blocks
from deidentifier.pixels.native import black_words

_ITEM = b"\xfe\xff\x00\xe0"
_ITEM_HEADER = 8
_UINT32 = (1 << 32) - 1

Buffer = bytes | bytearray | memoryview


#: Of one frame.
Fragments = tuple[Buffer, ...]


class Encapsulated:
    """New compressed pixel data, written frame by frame: what was written need not be held twice.

    Parameters
    ----------
    transfer_syntax, photometric
        What the frames are, and what their samples mean.
    count
        Number of frames.
    extended
        Whether the file had an Extended Offset Table, and gets one again.
    table
        Whether there is a Basic Offset Table; its numbers have 32 bits.
    """

    def __init__(self, transfer_syntax: UID, photometric: str, count: int, *, extended: bool, table: bool) -> None:
        self.transfer_syntax = transfer_syntax
        self.photometric = photometric
        self.extended = extended
        size = 4 * count if table and not extended else 0
        self._data = bytearray(_ITEM + struct.pack("<I", size) + bytes(size))
        self._start = len(self._data)
        self._offsets: list[int] = []
        self._lengths: list[int] = []

    def add(self, frame: Fragments) -> None:
        """Write the fragments of the next frame."""
        self._offsets.append(len(self._data) - self._start)
        self._lengths.append(sum(map(len, frame)))
        for fragment in frame:
            self._data += _ITEM + struct.pack("<I", len(fragment))
            self._data += fragment

    def value(self) -> bytearray:
        """Return the value of the element: offset table and fragments, without the delimiter (PS3.5 A.4)."""
        if self._start > _ITEM_HEADER:
            struct.pack_into(f"<{len(self._offsets)}I", self._data, _ITEM_HEADER, *self._offsets)
        return self._data

    def extended_tables(self) -> tuple[bytes, bytes]:
        """Return the Extended Offset Table and its lengths (PS3.3 C.7.6.3.1.8)."""
        count = len(self._offsets)
        return struct.pack(f"<{count}Q", *self._offsets), struct.pack(f"<{count}Q", *self._lengths)


class _View:
    """A buffer as a file for pydicom: what is read is a part of the buffer, not a copy."""

    def __init__(self, buffer: Buffer) -> None:
        self._view, self._at = memoryview(buffer), 0
        self.copies = False

    def read(self, size: int) -> Buffer:
        part = self._view[self._at : self._at + size]
        self._at += len(part)
        return bytes(part) if self.copies else part

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._view)}[whence]
        self._at = max(0, start + offset)
        return self._at


def split_frames(header: Dataset, image: Image, value: Buffer) -> Iterator[Fragments]:
    """Yield the fragments of each frame.

    Raises
    ------
    QuarantineError
        There are not as many frames as NumberOfFrames says; at the latest when the last one was read.
    """
    tables = (header.get("ExtendedOffsetTable"), header.get("ExtendedOffsetTableLengths"))
    extended = (bytes(tables[0]), bytes(tables[1])) if tables[0] and tables[1] else None
    frames = _fragmented(_View(value), image.frames, extended)
    count = 0
    while (frame := _next(frames)) is not None:
        count += any(frame)
        yield frame
    if count != image.frames:
        raise QuarantineError("the compressed pixel data does not hold as many frames as NumberOfFrames says")


def _fragmented(view: _View, count: int, extended: tuple[bytes, bytes] | None) -> Iterator[Fragments]:
    """Yield the fragments of each frame as parts of the buffer."""
    file = cast(BinaryIO, view)
    if not extended and not parse_basic_offsets(file):
        # Then pydicom searches the fragments for the ends of frames, which it can do in bytes alone.
        view.copies = parse_fragments(file)[0] != count
    view.seek(0)
    yield from generate_fragmented_frames(file, number_of_frames=count, extended_offsets=extended)


def _next(frames: Iterator[Fragments]) -> Fragments | None:
    """Return the next frame, None after the last one; pydicom only warns of some damage."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return next(frames, None)
    except (ValueError, struct.error, UserWarning, EOFError) as exc:
        raise QuarantineError("the compressed pixel data cannot be divided into frames") from exc


def mask_encapsulated(header: Dataset, image: Image, value: Buffer, boxes: Sequence[Boxes]) -> Encapsulated:
    """Blacken the boxes of each frame.

    Frames of RLE, JPEG lossless, JPEG-LS and JPEG 2000 are encoded again in their own transfer syntax, without loss.
    In JPEG baseline the coefficients of the touched blocks are replaced. What has no lossless encoder (JPEG extended,
    HTJ2K; a baseline frame that libjpeg-turbo refuses) is decoded once and written as JPEG lossless, all frames alike.

    Raises
    ------
    QuarantineError
        There is no decoder for the transfer syntax, or the data is damaged.
    """
    syntax = image.transfer_syntax
    if syntax in codecs.SAME_SYNTAX:
        return _mask_same_syntax(header, image, value, boxes)
    edited = _mask_coefficients(header, image, value, boxes) if syntax == JPEGBaseline8Bit else None
    return edited or _mask_to_lossless(header, image, value, boxes)


def _target(header: Dataset, image: Image, value: Buffer, syntax: UID, photometric: str) -> Encapsulated:
    extended = bool(header.get("ExtendedOffsetTable"))
    # What is written can be longer than what came: lossless after lossy, and blocks of black are no shorter.
    table = len(value) + image.frames * image.frame_bits // 8 < _UINT32
    return Encapsulated(syntax, photometric, image.frames, extended=extended, table=table)


def _numbered(
    header: Dataset, image: Image, value: Buffer, boxes: Sequence[Boxes]
) -> Iterator[tuple[Fragments, Boxes]]:
    """Yield each frame with its boxes; more frames than there should be are refused."""
    for number, frame in enumerate(split_frames(header, image, value)):
        if number >= len(boxes):
            raise QuarantineError("the compressed pixel data holds more frames than NumberOfFrames says")
        yield frame, boxes[number]


def fit(words: tuple[int, ...], image: Image, stream: Codestream) -> tuple[int, ...]:
    """Return words of BitsAllocated as numbers of the codestream's precision and sign."""
    mask = (1 << min(stream.precision, image.bits_allocated)) - 1
    top = 1 << (stream.precision - 1)
    return tuple((word & mask) - (mask + 1 if stream.signed and word & top else 0) for word in words)


def black_samples(header: Dataset, image: Image, stream: Codestream) -> tuple[int, ...]:
    """Return the black pixel in the codestream's own numbers."""
    return fit(black_words(header, replace(image, photometric=stream.photometric)), image, stream)


def _mask_same_syntax(header: Dataset, image: Image, value: Buffer, boxes: Sequence[Boxes]) -> Encapsulated:
    # An irreversible colour transform cannot be encoded without loss: what was encoded again has the reversible one.
    irreversible = image.photometric == "YBR_ICT" and all(boxes)
    photometric = "YBR_RCT" if irreversible else image.photometric
    target = _target(header, image, value, image.transfer_syntax, photometric)
    for frame, of_frame in _numbered(header, image, value, boxes):
        target.add((_mask_frame(header, image, frame, of_frame, image.transfer_syntax)[0],) if of_frame else frame)
    return target


def _mask_to_lossless(header: Dataset, image: Image, value: Buffer, boxes: Sequence[Boxes]) -> Encapsulated:
    target = _target(header, image, value, codecs.LOSSLESS_SYNTAX, "")
    for frame, of_frame in _numbered(header, image, value, boxes):
        data, stream = _mask_frame(header, image, frame, of_frame, codecs.LOSSLESS_SYNTAX)
        # Decoded samples are no longer subsampled.
        own = "YBR_FULL" if stream.photometric.startswith("YBR_FULL") else stream.photometric
        target.photometric = target.photometric or own
        target.add((data,))
    return target


def _mask_frame(header: Dataset, image: Image, frame: Fragments, boxes: Boxes, syntax: UID) -> tuple[bytes, Codestream]:
    pixels, stream = _blackened(header, image, frame, boxes)
    return codecs.encode(image, pixels.pop(), stream, syntax), stream


def _blackened(header: Dataset, image: Image, frame: Fragments, boxes: Boxes) -> tuple[list[Frame], Codestream]:
    """Return the decoded frame in a list, from which it can be given away."""
    pixels, stream = codecs.decode(image, b"".join(frame))
    black = black_samples(header, image, stream)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = black
    return [pixels], stream


def _mask_coefficients(header: Dataset, image: Image, value: Buffer, boxes: Sequence[Boxes]) -> Encapsulated | None:
    """Return the frames with black blocks, or None where one of them cannot be edited so."""
    inverted = image.samples == 1 and black_words(header, image)[0] != 0
    luminance = image.photometric.startswith("YBR")
    target = _target(header, image, value, image.transfer_syntax, image.photometric)
    for frame, of_frame in _numbered(header, image, value, boxes):
        if not of_frame:
            target.add(frame)
            continue
        edited = blacken_blocks(b"".join(frame), of_frame, inverted=inverted, luminance=luminance)
        if edited is None:
            return None
        target.add((edited,))
    return target
