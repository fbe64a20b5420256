"""Blackening compressed pixels: only the frames with a box are decoded, the others are copied as they are."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragmented_frames
from pydicom.uid import UID, JPEGBaseline8Bit

from common.errors import QuarantineError
from deidentifier.pixels import codecs
from deidentifier.pixels.boxes import Boxes
from deidentifier.pixels.codecs import Codestream
from deidentifier.pixels.image import Image
from deidentifier.pixels.jpeg import blacken_blocks
from deidentifier.pixels.native import black_words

_ITEM = b"\xfe\xff\x00\xe0"
_UINT32 = (1 << 32) - 1


@dataclass
class Encapsulated:
    """New compressed pixel data: the fragments of every frame, their transfer syntax, and what the samples mean."""

    frames: list[tuple[bytes, ...]]
    transfer_syntax: UID
    photometric: str
    extended: bool
    """Whether the file had an Extended Offset Table, and gets one again."""
    offsets: list[int] = field(default_factory=list)

    def value(self) -> bytes:
        """Return the value of the element: offset table and fragments, without the delimiter (PS3.5 A.4)."""
        parts, at = [], 0
        self.offsets = []
        for frame in self.frames:
            self.offsets.append(at)
            for fragment in frame:
                parts += [_ITEM, struct.pack("<I", len(fragment)), fragment]
                at += 8 + len(fragment)
        table = b"" if self.extended or at > _UINT32 else struct.pack(f"<{len(self.offsets)}I", *self.offsets)
        return b"".join([_ITEM, struct.pack("<I", len(table)), table, *parts])

    def extended_tables(self) -> tuple[bytes, bytes]:
        """Return the Extended Offset Table and its lengths (PS3.3 C.7.6.3.1.8); after `value`."""
        lengths = [sum(map(len, frame)) for frame in self.frames]
        return struct.pack(f"<{len(lengths)}Q", *self.offsets), struct.pack(f"<{len(lengths)}Q", *lengths)


def split_frames(header: Dataset, image: Image, value: bytes | bytearray | memoryview) -> list[tuple[bytes, ...]]:
    """Return the fragments of each frame.

    Raises
    ------
    QuarantineError
        There are not as many frames as NumberOfFrames says.
    """
    tables = (header.get("ExtendedOffsetTable"), header.get("ExtendedOffsetTableLengths"))
    extended = (bytes(tables[0]), bytes(tables[1])) if tables[0] and tables[1] else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frames = list(
                generate_fragmented_frames(bytes(value), number_of_frames=image.frames, extended_offsets=extended)
            )
    except (ValueError, struct.error, UserWarning, EOFError) as exc:
        raise QuarantineError("the compressed pixel data cannot be divided into frames") from exc
    if len(frames) != image.frames or not all(any(frame) for frame in frames):
        raise QuarantineError("the compressed pixel data does not hold as many frames as NumberOfFrames says")
    return frames


def mask_encapsulated(
    header: Dataset, image: Image, value: bytes | bytearray | memoryview, boxes: Sequence[Boxes]
) -> Encapsulated:
    """Blacken the boxes of each frame.

    Frames of RLE, JPEG lossless, JPEG-LS and JPEG 2000 are encoded again in their own transfer syntax, without loss.
    In JPEG baseline the coefficients of the touched blocks are replaced. What has no lossless encoder (JPEG extended,
    HTJ2K; a baseline frame that libjpeg-turbo refuses) is decoded once and written as JPEG lossless, all frames alike.

    Raises
    ------
    QuarantineError
        There is no decoder for the transfer syntax, or the data is damaged.
    """
    frames = split_frames(header, image, value)
    extended = bool(header.get("ExtendedOffsetTable"))
    syntax = image.transfer_syntax
    if syntax in codecs.SAME_SYNTAX:
        masked, photometric = _mask_same_syntax(header, image, frames, boxes)
        return Encapsulated(masked, syntax, photometric, extended)
    edited = _mask_coefficients(image, header, frames, boxes) if syntax == JPEGBaseline8Bit else None
    if edited is not None:
        return Encapsulated(edited, syntax, image.photometric, extended)
    masked, photometric = _mask_to_lossless(header, image, frames, boxes)
    return Encapsulated(masked, codecs.LOSSLESS_SYNTAX, photometric, extended)


def fit(words: tuple[int, ...], image: Image, stream: Codestream) -> tuple[int, ...]:
    """Return words of BitsAllocated as numbers of the codestream's precision and sign."""
    mask = (1 << min(stream.precision, image.bits_allocated)) - 1
    top = 1 << (stream.precision - 1)
    return tuple((word & mask) - (mask + 1 if stream.signed and word & top else 0) for word in words)


def black_samples(header: Dataset, image: Image, stream: Codestream) -> tuple[int, ...]:
    """Return the black pixel in the codestream's own numbers."""
    return fit(black_words(header, replace(image, photometric=stream.photometric)), image, stream)


def _mask_same_syntax(
    header: Dataset, image: Image, frames: list[tuple[bytes, ...]], boxes: Sequence[Boxes]
) -> tuple[list[tuple[bytes, ...]], str]:
    masked = [
        (_mask_frame(header, image, frame, of_frame, image.transfer_syntax)[0],) if of_frame else frame
        for frame, of_frame in zip(frames, boxes, strict=True)
    ]
    # An irreversible colour transform cannot be encoded without loss: what was encoded again has the reversible one.
    irreversible = image.photometric == "YBR_ICT" and all(boxes)
    return masked, "YBR_RCT" if irreversible else image.photometric


def _mask_to_lossless(
    header: Dataset, image: Image, frames: list[tuple[bytes, ...]], boxes: Sequence[Boxes]
) -> tuple[list[tuple[bytes, ...]], str]:
    written = [
        _mask_frame(header, image, frame, of_frame, codecs.LOSSLESS_SYNTAX)
        for frame, of_frame in zip(frames, boxes, strict=True)
    ]
    photometric = written[0][1].photometric
    # Decoded samples are no longer subsampled.
    return [(data,) for data, _ in written], "YBR_FULL" if photometric.startswith("YBR_FULL") else photometric


def _mask_frame(
    header: Dataset, image: Image, frame: tuple[bytes, ...], boxes: Boxes, syntax: UID
) -> tuple[bytes, Codestream]:
    pixels, stream = codecs.decode(image, b"".join(frame))
    black = black_samples(header, image, stream)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = black
    return codecs.encode(image, pixels, stream, syntax), stream


def _mask_coefficients(
    image: Image, header: Dataset, frames: list[tuple[bytes, ...]], boxes: Sequence[Boxes]
) -> list[tuple[bytes, ...]] | None:
    """Return the frames with black blocks, or None where one of them cannot be edited so."""
    inverted = image.samples == 1 and black_words(header, image)[0] != 0
    luminance = image.photometric.startswith("YBR")
    masked: list[tuple[bytes, ...]] = []
    for frame, of_frame in zip(frames, boxes, strict=True):
        if not of_frame:
            masked.append(frame)
            continue
        edited = blacken_blocks(b"".join(frame), of_frame, inverted=inverted, luminance=luminance)
        if edited is None:
            return None
        masked.append((edited,))
    return masked
