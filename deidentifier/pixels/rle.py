"""RLE frames to numbers, segment by segment.

pydicom decodes the segments. Its decoder of whole frames takes the frame with the segments' planes side by side, and
copies it three times on the way to an array.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from pydicom.pixels.decoders.rle import _rle_decode_segment, _rle_parse_header

from deidentifier.pixels.image import Frame, Image


def decode_rle(image: Image, data: bytes) -> Frame:
    """Decode a frame (PS3.5 annex G).

    Raises
    ------
    ValueError
        The header is damaged, or a segment is missing or too short.
    """
    offsets = [*_rle_parse_header(data[:64]), len(data)]
    size = image.bits_allocated // 8
    if len(offsets) - 1 != image.samples * size:
        raise ValueError("another number of segments")
    count = image.rows * image.columns
    planes = np.empty((count, image.samples, size), np.uint8)
    for number, (start, end) in enumerate(pairwise(offsets)):
        # The most significant byte of a sample comes first.
        planes[:, number // size, size - 1 - number % size] = _segment(data[start:end], count)
    return planes.reshape(-1).view(f"<u{size}").reshape(image.rows, image.columns, image.samples)


def _segment(data: bytes, count: int) -> Frame:
    return np.frombuffer(_rle_decode_segment(data), np.uint8, count)
