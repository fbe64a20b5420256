"""Frames as they are stored, straight from Orthanc's files: its own DICOMweb takes five times as long for one."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from pydicom import Dataset
from pydicom.pixels.utils import pixel_array

from common.decoders import DECODING_ERRORS, use_decoders
from common.errors import InvalidDicomError, NotFoundError
from common.orthanc import Orthanc
from website.dicomweb.media_types import (
    EXPLICIT_LITTLE_ENDIAN,
    Accepted,
    choose_syntax,
    frame_type,
    is_native,
)
from website.dicomweb.members import Member
from website.dicomweb.multipart import Part

use_decoders()

BIG_ENDIAN = "1.2.840.10008.1.2.2"


def read_numbers(text: str, member: Member) -> list[int]:
    """Read a list of frames, from 1.

    Raises
    ------
    NotFoundError
        It is no list of numbers, or the instance has no such frame.
    """
    words = text.split(",")
    if not member.has_image or any(not word.isascii() or not word.isdigit() or len(word) > 9 for word in words):
        raise NotFoundError
    numbers = [int(word) for word in words]
    if not all(1 <= number <= member.frames for number in numbers):
        raise NotFoundError
    return numbers


class Frames:
    """Gives frames of one Orthanc's instances."""

    def __init__(self, orthanc: Orthanc) -> None:
        self._orthanc = orthanc

    def syntax(self, member: Member, accepted: Iterable[Accepted]) -> str:
        """Return the transfer syntax in which frames are given; raises ``NotAcceptableError`` where none is taken."""
        stored = EXPLICIT_LITTLE_ENDIAN if is_native(member.transfer_syntax) else member.transfer_syntax
        return choose_syntax(accepted, stored, frame_type(stored))

    def part(self, member: Member, number: int, syntax: str) -> Part:
        """Return one frame.

        Raises
        ------
        InvalidDicomError
            It has to be decoded, and cannot be.
        """
        kind = f"{frame_type(syntax)}; transfer-syntax={syntax}"
        if syntax == EXPLICIT_LITTLE_ENDIAN and not is_native(member.transfer_syntax):
            return Part(kind, [self._decoded(member, number)])
        with self._orthanc.stream(f"/instances/{member.id}/frames/{number - 1}/raw") as answer:
            data = answer.read()
        if member.transfer_syntax == BIG_ENDIAN:
            data = self._swapped(member, data)
        return Part(kind, [data])

    def _decoded(self, member: Member, number: int) -> bytes:
        """Decode a frame with our own codecs: Orthanc's crash over some, and lack others."""
        dataset = Dataset()
        try:
            pixels = pixel_array(
                io.BytesIO(self._orthanc.download(member.id)), ds_out=dataset, index=number - 1, raw=True
            )
        except DECODING_ERRORS:
            raise InvalidDicomError("the pixel data of this instance cannot be decoded") from None
        if pixels.ndim == 3 and dataset.get("PlanarConfiguration") == 1:
            pixels = pixels.transpose(2, 0, 1)
        return np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()

    def _swapped(self, member: Member, data: bytes) -> bytes:
        """Return pixels of a big endian file in little endian: words of its Bits Allocated."""
        tags = self._orthanc.get_json(f"/instances/{member.id}/simplified-tags")
        size = max(int(str(tags.get("BitsAllocated", "8"))) // 8, 1)
        return np.frombuffer(data, dtype=f">u{size}").astype(f"<u{size}").tobytes() if size > 1 else data
