"""What the Image Pixel module says of the pixel data (PS3.3 C.7.6.3), checked before anything relies on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian

from common.errors import QuarantineError

#: An array of shape (rows, columns, samples).
Frame = npt.NDArray[Any]

#: Samples per pixel that each photometric interpretation means (PS3.3 C.7.6.3.1.2).
SAMPLES = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_PARTIAL_422": 3,
    "YBR_RCT": 3,
    "YBR_ICT": 3,
}
KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_FLOAT_BITS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}


@dataclass(frozen=True)
class Image:
    """The shape and the meaning of the pixel data; sizes in pixels and bits."""

    keyword: str
    transfer_syntax: UID
    rows: int
    columns: int
    frames: int
    samples: int
    planar: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    word_swapped: bool

    @property
    def big_endian(self) -> bool:
        """Whether numbers are stored with the most significant byte first."""
        return self.transfer_syntax == ExplicitVRBigEndian

    @property
    def subsampled(self) -> bool:
        """Whether two neighbouring pixels share their colour in uncompressed data (``Y Y Cb Cr``)."""
        return self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422")

    @property
    def frame_bits(self) -> int:
        """Size of an uncompressed frame in bits; frames of 1-bit pixels need not end at a byte."""
        samples = 2 if self.subsampled else self.samples
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def lowest(self) -> int:
        """The smallest value that BitsStored can hold."""
        return -(1 << (self.bits_stored - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """The largest value that BitsStored can hold."""
        return (1 << (self.bits_stored - 1)) - 1 if self.signed else (1 << self.bits_stored) - 1


@dataclass(frozen=True)
class Codestream:
    """How the numbers of a frame are encoded: bits of precision, whether signed, what the samples mean."""

    precision: int
    signed: bool
    photometric: str


def describe(header: Dataset, transfer_syntax: str, *, keyword: str = "PixelData", vr: str = "OW") -> Image:
    """Read the description of the pixels and hold it against itself.

    Parameters
    ----------
    header
        The data set; its pixel data may be left out.
    transfer_syntax
        UID in force for the data set.
    keyword, vr
        Which of the three pixel data elements there is, and its VR: 8-bit samples in ``OW`` are swapped pairwise in
        big endian (PS3.5 A.3 and D).

    Raises
    ------
    QuarantineError
        An attribute is missing, malformed or contradicts another: what is not understood cannot be masked.
    """
    syntax = UID(transfer_syntax)
    if not syntax.is_transfer_syntax or syntax.is_private:
        raise QuarantineError("pixels in an unknown or private transfer syntax cannot be masked")
    photometric = str(header.get("PhotometricInterpretation") or "").strip()
    if photometric not in SAMPLES:
        raise QuarantineError("PhotometricInterpretation (0028,0004) is missing or not one that masking supports")
    bits = _FLOAT_BITS.get(keyword) or _number(header, "BitsAllocated")
    stored = bits if keyword in _FLOAT_BITS else _number(header, "BitsStored", bits)
    image = Image(
        keyword=keyword,
        transfer_syntax=syntax,
        rows=_number(header, "Rows"),
        columns=_number(header, "Columns"),
        frames=_number(header, "NumberOfFrames", 1) or 1,
        samples=_number(header, "SamplesPerPixel", 1),
        planar=_number(header, "PlanarConfiguration", 0),
        photometric=photometric,
        bits_allocated=bits,
        bits_stored=stored,
        high_bit=_number(header, "HighBit", stored - 1),
        signed=_number(header, "PixelRepresentation", 0) == 1,
        word_swapped=syntax == ExplicitVRBigEndian and vr == "OW" and bits <= 8,
    )
    _check(image)
    return image


def _number(header: Dataset, keyword: str, default: int | None = None) -> int:
    """Return the value as a number that is not negative, or the default where there is none."""
    try:
        value = header.get(keyword)
        if value is None or value == "":
            if default is None:
                raise QuarantineError(f"{keyword} is missing: the pixels cannot be masked")
            return default
        number = int(str(value))
    except (ValueError, TypeError):
        raise QuarantineError(f"{keyword} is not a number: the pixels cannot be masked") from None
    if number < 0:
        raise QuarantineError(f"{keyword} is negative: the pixels cannot be masked")
    return number


def _check(image: Image) -> None:
    """Refuse what contradicts itself."""
    wrong = {
        "Rows or Columns is 0": not image.rows or not image.columns,
        "SamplesPerPixel does not fit PhotometricInterpretation": image.samples != SAMPLES[image.photometric],
        "BitsAllocated is not 1, 8, 16, 32 or 64": image.bits_allocated not in (1, 8, 16, 32, 64),
        "BitsStored is not between 1 and BitsAllocated": not 1 <= image.bits_stored <= image.bits_allocated,
        "HighBit lies outside BitsAllocated or below BitsStored - 1": not (
            image.bits_stored - 1 <= image.high_bit < image.bits_allocated
        ),
        "PlanarConfiguration is not 0 or 1": image.planar not in (0, 1),
        "YBR_..._422 has an odd number of columns": image.subsampled and image.columns % 2 == 1,
        "1-bit pixels have more than one sample": image.bits_allocated == 1 and image.samples > 1,
    }
    for reason, holds in wrong.items():
        if holds:
            raise QuarantineError(f"{reason}: the pixels cannot be masked")
