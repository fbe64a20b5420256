"""The local engine: RapidOCR with the models that its wheel carries; no network, no GPU.

PP-OCR's detector finds lines of text in any direction, its recogniser reads them (ONNX models, Apache-2). A picture is
enlarged so that small letters are large enough for the detector, a large one is cut into overlapping tiles.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from common.errors import PermanentError
from deidentifier.pixels.boxes import Box
from deidentifier.pixels.finder import Finding
from deidentifier.pixels.pictures import Picture
from deidentifier.pixels.tiles import tiles

_TILE = 1280
#: Shorter sides are enlarged to this many pixels by the detector.
_SHORT_SIDE = 736
_SHORT_SIDE_TURNED = 480
_DETECTED = 0.4
_FEW, _LARGE = 3, 0.3
_READ = 0.5


class LocalFinder:
    """Finds text with the models in the package ``rapidocr``."""

    def find(self, picture: Picture) -> list[Finding]:
        """Return the text found in all tiles of the picture, upright and turned."""
        return [
            Finding(box.shifted(tile.left, tile.top), text, confidence)
            for tile in tiles(picture.shape[1], picture.shape[0], side=_TILE)
            for box, text, confidence in _read_both_ways(picture[tile.top : tile.bottom, tile.left : tile.right])
        ]


def _read_both_ways(picture: Picture) -> list[Finding]:
    """Read a picture as it is and turned: the detector misses large or faint text that runs upwards."""
    columns = picture.shape[1]
    turned = [
        Finding(Box(columns - box.bottom, box.left, columns - box.top, box.right), text, confidence)
        for box, text, confidence in _read(np.rot90(picture), _SHORT_SIDE_TURNED)
    ]
    return _read(picture, _SHORT_SIDE) + turned


def _read(picture: Picture, short_side: int) -> list[Finding]:
    found = _engine(short_side)(np.ascontiguousarray(picture), use_det=True, use_cls=False, use_rec=True)
    if getattr(found, "txts", None) is None:
        return []
    rows, columns = picture.shape[:2]
    findings = zip(found.boxes, found.txts, found.scores, strict=True)
    return [
        Finding(_surround(polygon), text, float(score))
        for polygon, text, score in findings
        if not _is_scenery(polygon, text, columns, rows)
    ]


def _is_scenery(polygon: Any, text: str, columns: int, rows: int) -> bool:
    """Tell whether a reading of few characters spans much of the picture: a skull that is read as an "O"."""
    width, height = polygon.max(axis=0) - polygon.min(axis=0)
    return len(text.strip()) <= _FEW and width > _LARGE * columns and height > _LARGE * rows


def _surround(polygon: Any) -> Box:
    """Return the box around a quadrilateral, grown by a sixth of the height of its letters."""
    (left, top), (right, bottom) = np.floor(polygon.min(axis=0)), np.ceil(polygon.max(axis=0))
    return Box(int(left), int(top), int(right), int(bottom)).padded(2 + int(min(right - left, bottom - top)) // 6)


@cache
def _engine(short_side: int) -> Any:
    """Load the models once; one thread, because the workers are one process for each core."""
    try:
        from rapidocr import RapidOCR
    except ImportError:
        raise PermanentError("Type: OCR needs the package rapidocr: install research-pacs[ocr]") from None
    return RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.text_score": _READ,
            "Global.max_side_len": 2 * _TILE,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "Det.limit_side_len": short_side,
            "Det.box_thresh": _DETECTED,
        }
    )
