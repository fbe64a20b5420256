"""Which stored value is black on the screen.

For grayscale that is the smallest value that BitsStored can hold, or the largest where the way to the screen inverts:
MONOCHROME1, a negative RescaleSlope, a modality or VOI look-up table that falls (PS3.3 C.11.1, C.11.2). The extreme of
the representation, rather than of the image, is black with every window, with none, and in every frame alike. A look-up
table that neither rises nor falls is asked for its darkest entry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi

from common.errors import QuarantineError
from deidentifier.pixels.image import Image

Pixels = npt.NDArray[Any]
#: Of the stored values that a look-up table is tried with; an entry has at most 16 bits.
_MOST_BITS = 16
_LUMINANCE = np.array([0.299, 0.587, 0.114])


def black(header: Dataset, image: Image) -> tuple[int, ...]:
    """Return the value of each sample of a black pixel.

    Raises
    ------
    QuarantineError
        The palette cannot be read.
    """
    if image.photometric.startswith("MONOCHROME"):
        return (_by_tables(header, image, image.highest if _inverted(header, image) else image.lowest),)
    if image.photometric == "PALETTE COLOR":
        return (_darkest_index(header, image),)
    if image.photometric.startswith("YBR_PARTIAL"):
        return (1 << (image.bits_stored - 4), *_neutral(image))
    if image.photometric.startswith("YBR_FULL"):
        return (0, *_neutral(image))
    return (0,) * image.samples


def black_float(header: Dataset, image: Image, pixels: Pixels) -> float:
    """Return the value for float pixel data: the darkest that there is, and dark under every window."""
    finite = pixels[np.isfinite(pixels)]
    darkest, brightest = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    lower, upper = _windows(header)
    return max([brightest, *upper]) if _inverted(header, image) else min([darkest, *lower])


def _neutral(image: Image) -> tuple[int, int]:
    return (1 << (image.bits_stored - 1),) * 2


def _inverted(header: Dataset, image: Image) -> bool:
    """Tell whether larger stored values are darker."""
    inversions = [
        image.photometric == "MONOCHROME1",
        _falls(header, "ModalityLUTSequence") if "ModalityLUTSequence" in header else _slope(header) < 0,
        _falls(header, "VOILUTSequence"),
    ]
    return sum(inversions) % 2 == 1


def _by_tables(header: Dataset, image: Image, extreme: int) -> int:
    """Return the extreme, or the value that look-up tables show darkest where they neither rise nor fall."""
    tables = [keyword for keyword in ("ModalityLUTSequence", "VOILUTSequence") if keyword in header]
    if not tables or image.bits_stored > _MOST_BITS:
        return extreme
    shown = np.arange(image.lowest, image.highest + 1, dtype=np.int32)
    try:
        shown = apply_modality_lut(shown, header)
        if "VOILUTSequence" in tables:
            shown = apply_voi(shown, header)
    except (AttributeError, IndexError, KeyError, NotImplementedError, TypeError, ValueError):
        return extreme
    darkness = shown.astype(np.float64) * (-1 if image.photometric == "MONOCHROME1" else 1)
    return extreme if darkness[extreme - image.lowest] == darkness.min() else image.lowest + int(darkness.argmin())


def _functional_groups(header: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a macro of enhanced images, shared and per frame (PS3.3 C.7.6.16)."""
    groups = [
        *(header.get("SharedFunctionalGroupsSequence") or []),
        *(header.get("PerFrameFunctionalGroupsSequence") or []),
    ]
    return [item for group in groups for item in group.get(keyword) or []]


def _slope(header: Dataset) -> float:
    """Return the first RescaleSlope, 1 where there is none."""
    for item in (header, *_functional_groups(header, "PixelValueTransformationSequence")):
        slope = _floats(item, "RescaleSlope")
        if slope:
            return slope[0]
    return 1.0


def _falls(header: Dataset, keyword: str) -> bool:
    """Tell whether the look-up table there ends darker than it begins."""
    for item in header.get(keyword) or []:
        data = item.get("LUTData")
        if isinstance(data, bytes):
            data = np.frombuffer(data[: len(data) // 2 * 2], "<u2")
        if data is not None and len(data) > 1:
            return bool(int(data[-1]) < int(data[0]))
    return False


def _windows(header: Dataset) -> tuple[list[float], list[float]]:
    """Return the lower and upper edges of the windows, in stored values."""
    lower, upper = [], []
    intercept, slope = (_floats(header, "RescaleIntercept") or [0.0])[0], _slope(header) or 1.0
    for item in (header, *_functional_groups(header, "FrameVOILUTSequence")):
        for center, width in zip(_floats(item, "WindowCenter"), _floats(item, "WindowWidth"), strict=False):
            edges = sorted((edge - intercept) / slope for edge in (center - width / 2 - 1, center + width / 2 + 1))
            lower.append(edges[0])
            upper.append(edges[1])
    return lower, upper


def _floats(item: Dataset, keyword: str) -> list[float]:
    """Return the values as numbers, or none of them where one is not a number."""
    if keyword not in item:
        return []
    element = item[keyword]
    values = element.value if element.VM > 1 else [element.value]
    try:
        return [float(value) for value in values if value not in (None, "")]
    except (TypeError, ValueError):
        return []


def palette_colours(header: Dataset, image: Image) -> tuple[int, Pixels]:
    """Return the first value that the palette maps, and its colours: shape (entries, 3), of 8 or 16 bits.

    Raises
    ------
    QuarantineError
        The palette cannot be read.
    """
    try:
        entries, first, _ = (int(one) for one in header["RedPaletteColorLookupTableDescriptor"].value)
        return first, _palette(header, image, entries or 1 << 16, first)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, NotImplementedError):
        raise QuarantineError("the palette (0028,1101)-(0028,1223) cannot be read: black is not known") from None


def _darkest_index(header: Dataset, image: Image) -> int:
    """Return the stored value whose colour in the palette is the darkest (PS3.3 C.7.9)."""
    first, colours = palette_colours(header, image)
    # What BitsStored cannot hold is no candidate, whatever the palette says of it.
    colours = colours[max(0, image.lowest - first) : max(0, image.highest - first + 1)]
    if not len(colours):
        raise QuarantineError("the palette (0028,1101)-(0028,1223) holds no value of the pixels: black is not known")
    return max(first, image.lowest) + int(np.argmin(colours @ _LUMINANCE))


def _palette(header: Dataset, image: Image, entries: int, first: int) -> Pixels:
    """Return the colours as an array of shape (entries, 3)."""
    if "SegmentedRedPaletteColorLookupTableData" in header:
        return np.asarray(apply_color_lut(np.arange(first, first + entries), header)[:, :3], dtype=np.float64)
    channels = []
    for colour in ("Red", "Green", "Blue"):
        data = bytes(header[f"{colour}PaletteColorLookupTableData"].value)
        words = np.frombuffer(data[: len(data) // 2 * 2], ">u2" if image.big_endian else "<u2")
        # 8-bit entries may be packed two to a word, the first one in the low byte (PS3.3 C.7.6.3.1.6).
        packed = words.astype("<u2").view("u1") if len(words) < entries else words
        channels.append(packed[:entries].astype(np.float64))
    return np.stack(channels, axis=1)
