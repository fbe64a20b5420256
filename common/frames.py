"""All frames of a file as pictures, one after the other, in their own size: for exports.

The file's header is parsed once and one frame is in memory at a time. ``png`` holds the *stored* values bit for bit,
in 8 bits or in 16: what is signed is two's complement, as Orthanc writes it too (``numpy``'s ``view("int16")`` gives
the values back). ``png-windowed`` and ``jpeg`` are what a viewer shows at first.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.pixels.utils import iter_pixels

from common.decoders import DECODING_ERRORS, use_decoders
from common.errors import InvalidDicomError, RefusedError
from common.rendering import FRAME_TAGS, Picture, check_frame, inflate, of_frame, to_shown

use_decoders()

MODES = ("png", "png-windowed", "jpeg")
_JPEG_QUALITY = 90


def count_frames(file: IO[bytes]) -> int:
    """Return how many frames a file has.

    Raises
    ------
    NotFoundError
        It has no image.
    InvalidDicomError
        Its header cannot be read.
    RefusedError
        Its frames are too large.
    """
    return check_frame(file, 1)


def export_frames(file: IO[bytes], mode: str) -> Iterator[bytes]:
    """Yield a picture of each frame, in order.

    Parameters
    ----------
    mode
        ``png`` (stored values), ``png-windowed`` or ``jpeg``.

    Raises
    ------
    InvalidDicomError
        The pixel data cannot be decoded, or there are fewer frames than the header says.
    RefusedError
        The values need more than 16 bits.
    """
    frames, made = count_frames(file), 0
    for dataset, pixels in _decoded(file):
        if made == frames:
            break  # what follows the last frame is padding
        made += 1
        # Several functional groups are lifted into it, so each frame has a copy of its own.
        yield _picture(of_frame(copy.copy(dataset), made), pixels, mode)
    if made < frames:
        raise InvalidDicomError("This instance has fewer frames than its header says.")


def _decoded(file: IO[bytes]) -> Iterator[tuple[Dataset, NDArray[Any]]]:
    dataset = Dataset()
    frames = iter_pixels(cast(BinaryIO, inflate(file)), ds_out=dataset, specific_tags=list(FRAME_TAGS))
    while True:
        try:
            pixels = next(frames, None)
        except DECODING_ERRORS:
            raise InvalidDicomError("The pixel data of this instance cannot be decoded.") from None
        if pixels is None:
            return
        yield dataset, pixels


def _picture(dataset: Dataset, pixels: NDArray[Any], mode: str) -> bytes:
    grey = pixels.ndim == 2 and dataset.get("PhotometricInterpretation") != "PALETTE COLOR"
    if mode == "png" and grey:
        return _encode(_stored(dataset, pixels), mode)
    return _encode(to_shown(pixels, dataset, Picture()), mode)


def _stored(dataset: Dataset, pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the stored values of a grey frame, bit for bit, as PNG can hold them."""
    bits = int(dataset.get("BitsStored") or dataset.get("BitsAllocated") or 16)
    if pixels.dtype.kind == "f" or bits > 16:
        raise RefusedError("the values need more than 16 bits: a picture cannot hold them, export DICOM instead")
    return pixels.astype(np.uint8 if bits <= 8 else np.uint16)


def _encode(pixels: NDArray[Any], mode: str) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if mode == "jpeg":
        image.save(out, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    else:
        image.save(out, "PNG", compress_level=1)
    return out.getvalue()
