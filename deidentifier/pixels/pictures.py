"""Frames as pictures of 8 bits, the way a reader of text (or a person) sees them.

Text is drawn to be read on a screen: so the pixels go the way to the screen, with three differences. A window that
hides half of the range hides text, too, so grayscale of more than 8 bits is shown in its own window and stretched over
all its values; a picture of little contrast is stretched; and a colourful one is looked at in the least of its three
colours, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut, convert_color_space

from deidentifier.pixels import codecs
from deidentifier.pixels.black import palette_colours
from deidentifier.pixels.encapsulated import split_frames
from deidentifier.pixels.image import Image
from deidentifier.pixels.native import frames_of, refuse_short

#: 8-bit pixels of shape (rows, columns, 3).
Picture = npt.NDArray[np.uint8]
Pixels = npt.NDArray[Any]

#: A picture whose values span less than this is stretched.
_LOW_CONTRAST = 96
#: Pixels whose colours differ by more than this are coloured; a picture with fewer than this share of them is gray.
_COLOURFUL = 64
_FEW_COLOURS = 0.002


def stored_frames(header: Dataset, image: Image, value: bytes | bytearray | memoryview) -> Iterator[Pixels]:
    """Yield the decoded samples of each frame, shape (rows, columns, samples), one at a time.

    Raises
    ------
    QuarantineError
        A frame does not decode, or is not there.
    """
    if image.transfer_syntax.is_encapsulated:
        for fragments in split_frames(header, image, value):
            yield codecs.decode(image, b"".join(fragments))[0]
    else:
        refuse_short(image, value)
        yield from _native_frames(image, value)


def _native_frames(image: Image, value: bytes | bytearray | memoryview) -> Iterator[Pixels]:
    if image.word_swapped:
        value = np.frombuffer(value, "<u2", count=len(value) // 2).byteswap().tobytes()
    if image.bits_allocated == 1:
        for number in range(image.frames):
            first = number * image.frame_bits
            bits = np.unpackbits(
                np.frombuffer(value, "u1")[first // 8 : -(-(first + image.frame_bits) // 8)], bitorder="little"
            )
            yield bits[first % 8 :][: image.frame_bits].reshape(image.rows, image.columns, 1)
        return
    for frame in frames_of(image, value):
        yield _upsampled(frame) if image.subsampled else np.moveaxis(frame, 0, -1)


def _upsampled(frame: Pixels) -> Pixels:
    """Return (rows, columns, 3) from (rows, pairs, 4)."""
    rows, pairs, _ = frame.shape
    luminance = frame[..., :2].reshape(rows, pairs * 2)
    return np.stack([luminance, *(frame[..., n].repeat(2, axis=1) for n in (2, 3))], axis=-1)


def pictures(header: Dataset, image: Image, samples: Pixels) -> list[Picture]:
    """Return one frame as it is looked at, at most two pictures.

    Parameters
    ----------
    samples
        Shape (rows, columns, samples), as `stored_frames` yields them.
    """
    if image.samples == 1 and image.photometric != "PALETTE COLOR":
        return [_as_picture(gray) for gray in _grays(header, image, samples[..., 0])]
    colours = _as_picture(_colours(header, image, samples))
    least, most = colours.min(axis=2), colours.max(axis=2)
    if np.count_nonzero(most - least > _COLOURFUL) < _FEW_COLOURS * least.size:
        return [colours]
    # White or gray letters over coloured flow are as bright as what is under them, but in one of the three colours.
    return [colours, _as_picture(least)]


def _grays(header: Dataset, image: Image, samples: Pixels) -> list[Pixels]:
    """Return grayscale pictures of 0 to 255, white being white."""
    numbers = _numbers(image, samples)
    inverted = image.photometric == "MONOCHROME1"
    views = [_stretched(numbers)] if image.bits_stored > 8 or _range(numbers) < _LOW_CONTRAST else [numbers]
    windowed = _windowed(header, numbers)
    if windowed is not None and np.abs(windowed - views[0]).max() > 32:
        views.append(windowed)
    if image.bits_stored == 1:
        views = [numbers * 255]
    return [255 - view if inverted else view for view in views]


def _numbers(image: Image, samples: Pixels) -> Pixels:
    """Return stored values as numbers, without the bits beyond BitsStored."""
    if image.keyword != "PixelData":
        return np.nan_to_num(samples.astype(np.float64), posinf=0, neginf=0)
    values = (samples.astype(np.int64) >> (image.high_bit - image.bits_stored + 1)) & ((1 << image.bits_stored) - 1)
    if image.signed:
        values -= (values >> (image.bits_stored - 1)) << image.bits_stored
    return values.astype(np.float32)


def _range(numbers: Pixels) -> float:
    return float(numbers.max() - numbers.min())


def _stretched(numbers: Pixels) -> Pixels:
    """Stretch over all values but the outermost thousandths, where they lie far off (padding, metal)."""
    darkest, brightest = np.percentile(numbers, (0.1, 99.9))
    if brightest - darkest < 0.05 * _range(numbers):
        darkest, brightest = float(numbers.min()), float(numbers.max())
    stretched: Pixels = np.clip((numbers - darkest) * (255 / max(float(brightest - darkest), 1e-9)), 0, 255)
    return stretched


def _windowed(header: Dataset, numbers: Pixels) -> Pixels | None:
    """Return the picture in the instance's own window or look-up table, None where it has none or a wrong one."""
    if "WindowCenter" not in header and "VOILUTSequence" not in header:
        return None
    try:
        shown = apply_voi_lut(apply_modality_lut(numbers.astype(np.int32), header), header).astype(np.float32)
    except (AttributeError, IndexError, KeyError, NotImplementedError, TypeError, ValueError):
        return None
    darkest, brightest = float(shown.min()), float(shown.max())
    return np.asarray((shown - darkest) * (255 / max(brightest - darkest, 1e-9)))


def _colours(header: Dataset, image: Image, samples: Pixels) -> Pixels:
    """Return RGB of 0 to 255."""
    if image.photometric == "PALETTE COLOR":
        first, colours = palette_colours(header, image)
        index = np.clip(_numbers(image, samples[..., 0]).astype(np.int64) - first, 0, len(colours) - 1)
        return colours[index] * (255 / max(float(colours.max()), 255.0))
    scaled = samples.astype(np.float64) * (255 / ((1 << image.bits_stored) - 1))
    if image.photometric.startswith("YBR_FULL") or image.photometric.startswith("YBR_PARTIAL"):
        converted: Pixels = convert_color_space(scaled.round().astype(np.uint8), "YBR_FULL", "RGB")
        return converted
    return scaled


def _as_picture(values: Pixels) -> Picture:
    picture = np.clip(values, 0, 255).astype(np.uint8)
    return picture if picture.ndim == 3 else np.repeat(picture[..., np.newaxis], 3, axis=2)
