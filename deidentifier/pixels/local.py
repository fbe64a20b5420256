"""The local engine: RapidOCR with the models that its wheel carries; no network, no GPU.

PP-OCR's detector finds lines of text in any direction, its recogniser reads them (ONNX models, Apache-2). A picture is
enlarged so that small letters are large enough for the detector, a large one is cut into overlapping tiles. The
detector alone takes half of an ultrasound sector for text: only what the recogniser can read counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from common.errors import PermanentError
from deidentifier.pixels.boxes import Box
from deidentifier.pixels.finder import Finding
from deidentifier.pixels.pictures import Picture
from deidentifier.pixels.tiles import parts

_TILE = 1280
#: Nothing is enlarged more than so many times.
_MOST_ENLARGED = 2.0
#: The detector works on multiples of 32 pixels and makes nothing of a side that is shorter than half of that.
_SMALLEST = 32
_DETECTED = 0.4
_FEW, _LARGE = 3, 0.3
_READ = 0.5
#: A place that lies in text already read in the same picture by this much is not read again, as it is hidden with it.
_COVERED = 0.98


class _Look(NamedTuple):
    """How a tile is looked at: its picture's shorter side enlarged to so many pixels, turned to the left or not."""

    short_side: int
    turned: bool


_UPRIGHT, _TURNED, _CLOSER = _Look(640, False), _Look(480, True), _Look(960, False)


class LocalFinder:
    """Finds text with the models in the package ``rapidocr``."""

    def find(self, picture: Picture, part: Box | None = None, known: Sequence[Finding] = ()) -> list[Finding]:
        """Return the text found in all tiles of a part of the picture, upright and turned.

        Raises
        ------
        PermanentError
            The engine is not installed.
        """
        found: list[Finding] = []
        for tile in parts(picture, part, side=_TILE):
            # What the detector misses turned one way, large or faint text that runs upwards, it sees the other way.
            upright, turned = (_places(picture, tile, look) for look in (_UPRIGHT, _TURNED))
            found += _read(upright, known, found)
            found += _read(turned, known, found)
            if any(place.large and not _inside(found, place.exact) for place in (*upright, *turned)):
                # Scenery that the detector takes for one text swallows the letters in it: seen larger, they part.
                found += _read(_places(picture, tile, _CLOSER), known, found)
        return found


class _Place(NamedTuple):
    """Where the detector sees text: exactly, with some room around, and cut out for the recogniser."""

    exact: Box
    box: Box
    line: Picture
    large: bool


def _places(picture: Picture, tile: Box, look: _Look) -> list[_Place]:
    """Return the places in a tile of a picture that look like a line of text."""
    part = picture[tile.top : tile.bottom, tile.left : tile.right]
    factor = max(1.0, min(look.short_side / min(picture.shape[:2]), _MOST_ENLARGED))
    seen = _enlarged(np.rot90(part) if look.turned else part, factor)
    polygons = getattr(_engine()(seen, use_det=True, use_cls=False, use_rec=False), "boxes", None)
    if polygons is None:
        return []
    lines = _engine().crop_text_regions(seen, np.asarray(polygons, dtype=np.float32))
    boxes = [_box(np.asarray(polygon) / factor, turned=look.turned, columns=part.shape[1]) for polygon in polygons]
    return [
        _Place(
            box.shifted(tile.left, tile.top),
            # Some room: a sixth of the height of the letters.
            box.padded(2 + min(box.size) // 6).shifted(tile.left, tile.top),
            line,
            box.size[0] > _LARGE * part.shape[1] and box.size[1] > _LARGE * part.shape[0],
        )
        for box, line in zip(boxes, lines, strict=True)
        if min(line.shape[:2]) > 0
    ]


def _enlarged(picture: Picture, factor: float) -> Picture:
    """Return the picture enlarged, and filled up where it is smaller than the detector can work on."""
    if factor > 1:
        size = (round(picture.shape[1] * factor), round(picture.shape[0] * factor))
        picture = np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.BILINEAR))
    missing = [(0, max(0, _SMALLEST - length)) for length in picture.shape[:2]]
    if any(after for _, after in missing):
        picture = np.pad(picture, [*missing, (0, 0)], mode="edge")
    return np.ascontiguousarray(picture)


def _box(polygon: Any, *, turned: bool, columns: int) -> Box:
    """Return the box around a quadrilateral, in a part of so many columns that was turned to the left or was not."""
    (left, top), (right, bottom) = np.floor(polygon.min(axis=0)), np.ceil(polygon.max(axis=0))
    if turned:
        left, top, right, bottom = columns - bottom, left, columns - top, right
    return Box(int(left), int(top), int(right), int(bottom))


def _read(places: Iterable[_Place], known: Iterable[Finding], found: Iterable[Finding]) -> list[Finding]:
    """Return what can be read at the places; known text that one of them lies in counts as read."""
    old, new = [], []
    for place in places:
        if _holding(place, _COVERED, found):
            continue
        again = _holding(place, _COVERED, known)
        (old.append(again) if again else new.append(place))
    return old + _recognise(new)


def _inside(findings: Iterable[Finding], box: Box) -> bool:
    """Tell whether most of a place is text that was read."""
    return any(box.clipped_to(one.box).area >= box.area / 2 for one in findings)


def _holding(place: _Place, share: float, findings: Iterable[Finding]) -> Finding | None:
    """Return text whose box covers a share of the place."""
    wanted = share * place.exact.area
    return next((one for one in findings if place.exact.clipped_to(one.box).area >= wanted), None)


def _recognise(places: list[_Place]) -> list[Finding]:
    """Return what can be read at the places. Few characters that span much of a part are scenery: a skull, an "O"."""
    if not places:
        return []
    read = _engine().recognize_txt([place.line for place in places])
    return [
        Finding(place.box, text, float(score))
        for place, text, score in zip(places, read.txts, read.scores, strict=True)
        if score >= _READ and text.strip() and not (place.large and len(text.strip()) <= _FEW)
    ]


@cache
def _engine() -> Any:
    """Load the models once in a process, when the first picture comes.

    One thread, because the workers are one process for each core: a second thread on the same picture costs more
    processor time. The arena keeps what one picture needed for the next one: a tenth less time.
    """
    try:
        from rapidocr import RapidOCR
    except ImportError:
        raise PermanentError("Type: OCR needs the package rapidocr: install research-pacs[ocr]") from None
    return RapidOCR(
        params={
            "Global.log_level": "error",
            # Pictures come in the size in which they are to be looked at.
            "Global.use_preprocess_img": False,
            "Global.use_vertical_padding": False,
            "Det.limit_side_len": _SMALLEST,
            "Det.box_thresh": _DETECTED,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "EngineConfig.onnxruntime.enable_cpu_mem_arena": True,
        }
    )
