"""Pictures of an instance before, with what was blackened framed, and after: for a person to judge the rules by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from common.errors import QuarantineError
from deidentifier.pixels.boxes import Box, Boxes
from deidentifier.pixels.image import KEYWORDS, describe
from deidentifier.pixels.pictures import Picture, pictures, stored_frames

_MOST_FRAMES = 3
_FRAME = (255, 64, 64)


@dataclass(frozen=True)
class Preview:
    """One frame as PNGs: what came in, with a line around each box, and what goes out.

    ``before`` is None where the pixels do not decode, ``after`` also for an instance in quarantine. ``before`` shows
    the original's pixels: guard it like the original.
    """

    frame: int
    before: bytes | None
    after: bytes | None


def preview(before: bytes, after: bytes | None, boxes: Sequence[Boxes], frame: int = 1) -> Preview:
    """Return pictures of one frame before and after.

    Parameters
    ----------
    before, after
        DICOM files; ``after`` is None for an instance in quarantine.
    boxes
        For each frame what was blackened, as in `Cleaned.boxes`; may be empty.
    frame
        From 1, as DICOM counts frames.
    """
    marked = boxes[frame - 1] if frame <= len(boxes) else ()
    pictures_of = _picture(before, frame), _picture(after, frame)
    first, second = (
        None if picture is None else png(framed(picture, lines))
        for picture, lines in zip(pictures_of, (marked, ()), strict=True)
    )
    return Preview(frame, first, second)


def write_preview(folder: Path, name: str, before: bytes, after: bytes | None, boxes: Sequence[Boxes]) -> list[Path]:
    """Write PNGs of up to three frames, those with boxes first.

    Parameters
    ----------
    folder
        Made where it is missing. The pictures show the original's pixels: guard it like the originals.
    name
        Of the files, without any value: ``NAME-frame1-before.png``, ``NAME-frame1-after.png``.
    before, after, boxes
        As for `preview`.

    Returns
    -------
    list of Path
        The files written; none where the pixels do not decode.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number in [n for n, of_frame in enumerate(boxes, 1) if of_frame][:_MOST_FRAMES] or [1]:
        shown = preview(before, after, boxes, number)
        for when, data in (("before", shown.before), ("after", shown.after)):
            if data is not None:
                path = folder / f"{name}-frame{number}-{when}.png"
                path.write_bytes(data)
                written.append(path)
    return written


def boxes_of(error: QuarantineError) -> list[Boxes]:
    """Return what was found or blackened in each frame of an instance that goes to quarantine."""
    return [tuple(Box(*box) for box in frame) for frame in error.boxes]


def framed(picture: Picture, boxes: Boxes) -> Image.Image:
    """Return a picture with a line around each box."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    draw = ImageDraw.Draw(image)
    for left, top, right, bottom in boxes:
        draw.rectangle((left - 1, top - 1, right, bottom), outline=_FRAME)
    return image


def outline(picture: bytes, boxes: Sequence[Box], columns: int, rows: int) -> bytes:
    """Draw boxes of an image of that size into a picture of it, smaller or not; both as PNG."""
    image = Image.open(BytesIO(picture)).convert("RGB")
    scaled = tuple(box.scaled(image.width / columns, image.height / rows) for box in boxes)
    return png(framed(np.asarray(image), scaled))


def png(image: Image.Image) -> bytes:
    """Return a picture as a PNG file."""
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _picture(data: bytes | None, frame: int) -> Picture | None:
    """Return the picture of one frame, None where it does not decode."""
    if data is None:
        return None
    try:
        return _decode(pydicom.dcmread(BytesIO(data), force=True), frame)
    except (QuarantineError, AttributeError, KeyError, ValueError, TypeError, EOFError):
        return None


def _decode(header: Dataset, frame: int) -> Picture | None:
    keyword = next((keyword for keyword in KEYWORDS if keyword in header), None)
    if keyword is None:
        return None
    syntax = header.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    image = describe(header, syntax, keyword=keyword, vr=header[keyword].VR)
    frames = islice(stored_frames(header, image, header[keyword].value), frame - 1, frame)
    return next((pictures(header, image, samples)[0] for samples in frames), None)
