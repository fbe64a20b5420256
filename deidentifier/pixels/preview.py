"""Pictures of an instance before, with what was blackened framed, and after: for a person to judge the rules by."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from common.errors import QuarantineError
from deidentifier.pixels.boxes import Boxes
from deidentifier.pixels.image import KEYWORDS, describe
from deidentifier.pixels.pictures import Picture, pictures, stored_frames

_MOST_FRAMES = 3
_FRAME = (255, 64, 64)


def write_preview(folder: Path, name: str, before: bytes, after: bytes | None, boxes: Sequence[Boxes]) -> list[Path]:
    """Write PNGs of up to three frames, those with boxes first.

    Parameters
    ----------
    folder
        Made where it is missing. The pictures show the original's pixels: guard it like the originals.
    name
        Of the files, without any value: ``NAME-frame1-before.png``, ``NAME-frame1-after.png``.
    before, after
        DICOM files; ``after`` is None for an instance in quarantine.
    boxes
        For each frame what was blackened; may be empty.

    Returns
    -------
    list of Path
        The files written; none where the pixels do not decode.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    numbers = [number for number, of_frame in enumerate(boxes) if of_frame][:_MOST_FRAMES] or [0]
    for when, data in (("before", before), ("after", after)):
        for number, picture in _frames(data, numbers):
            image = framed(picture, boxes[number] if when == "before" and boxes else ())
            path = folder / f"{name}-frame{number + 1}-{when}.png"
            path.write_bytes(png(image))
            written.append(path)
    return written


def framed(picture: Picture, boxes: Boxes) -> Image.Image:
    """Return a picture with a line around each box."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    draw = ImageDraw.Draw(image)
    for left, top, right, bottom in boxes:
        draw.rectangle((left - 1, top - 1, right, bottom), outline=_FRAME)
    return image


def png(image: Image.Image) -> bytes:
    """Return a picture as a PNG file."""
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _frames(data: bytes | None, numbers: Sequence[int]) -> list[tuple[int, Picture]]:
    """Return the pictures of some frames, as far as they decode."""
    if data is None:
        return []
    try:
        header = pydicom.dcmread(BytesIO(data), force=True)
        return [(number, picture) for number, picture in _decode(header) if number in numbers]
    except (QuarantineError, AttributeError, KeyError, ValueError, TypeError, EOFError):
        return []


def _decode(header: Dataset) -> list[tuple[int, Picture]]:
    keyword = next(keyword for keyword in (*KEYWORDS, "") if keyword in header or not keyword)
    if not keyword:
        return []
    syntax = header.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    image = describe(header, syntax, keyword=keyword, vr=header[keyword].VR)
    frames = stored_frames(header, image, header[keyword].value)
    return [(number, pictures(header, image, samples)[0]) for number, samples in enumerate(frames)]
