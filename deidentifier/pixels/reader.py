"""Reading all frames, what does not change from frame to frame only once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from deidentifier.pixels.boxes import Box
from deidentifier.pixels.finder import Finder, Finding
from deidentifier.pixels.pictures import Picture

#: Pixels that differ by no more than this from what was read are taken as the same: lossy compression, not letters.
_SAME = 8
#: Frames are compared in squares of this many pixels; changed ones are read with their neighbours around them.
_SQUARE = 32
#: When more of a frame than this changed, the whole of it is read: one call costs less than many.
_MOSTLY = 0.5


def read_frames(frames: Iterable[list[Picture]], finder: Finder) -> list[list[Finding]]:
    """Return what is read in each frame.

    Parameters
    ----------
    frames
        The pictures of each frame, of one shape.

    Notes
    -----
    Each part of a frame is compared with what was last read at its place. Text found stays found in every later frame
    in which its place has not changed.
    """
    read: list[list[Finding]] = []
    reference: npt.NDArray[Any] | None = None
    standing: list[Finding] = []
    for pictures in frames:
        current = np.concatenate(pictures, axis=2)
        if reference is None or reference.shape != current.shape:
            reference = current.copy()
            standing = _find(pictures, finder, Box(0, 0, current.shape[1], current.shape[0]))
        else:
            parts = changed_parts(reference, current)
            standing = [finding for finding in standing if not _changed(finding.box, reference, current)]
            for part in parts:
                standing += _find(pictures, finder, part)
                rows, columns = slice(part.top, part.bottom), slice(part.left, part.right)
                reference[rows, columns] = current[rows, columns]
        read.append(list(standing))
    return read


def changed_parts(reference: npt.NDArray[Any], current: npt.NDArray[Any]) -> list[Box]:
    """Return boxes that cover all squares in which the two differ, each with the squares around it."""
    rows, columns = current.shape[:2]
    differs = (np.abs(current.astype(np.int16) - reference) > _SAME).any(axis=2)
    down, across = -(-rows // _SQUARE), -(-columns // _SQUARE)
    padded = np.zeros((down * _SQUARE, across * _SQUARE), bool)
    padded[:rows, :columns] = differs
    squares = np.asarray(padded.reshape(down, _SQUARE, across, _SQUARE).any(axis=(1, 3)))
    if not squares.any():
        return []
    if squares.mean() > _MOSTLY:
        return [Box(0, 0, columns, rows)]
    return [_around(group).clipped(columns, rows) for group in _groups(squares)]


def _groups(squares: npt.NDArray[np.bool_]) -> list[Box]:
    """Return boxes of squares around what changed, grown by one square and joined until none overlap."""
    boxes: list[Box] = []
    for row, column in np.argwhere(squares):
        box = Box(int(column) - 1, int(row) - 1, int(column) + 2, int(row) + 2)
        while touching := [other for other in boxes if other.touches(box)]:
            boxes = [other for other in boxes if other not in touching]
            for other in touching:
                box = Box(*map(min, box[:2], other[:2]), *map(max, box[2:], other[2:]))
        boxes.append(box)
    return boxes


def _around(squares: Box) -> Box:
    return squares.scaled(_SQUARE, _SQUARE)


def _changed(box: Box, reference: npt.NDArray[Any], current: npt.NDArray[Any]) -> bool:
    left, top, right, bottom = box.clipped(current.shape[1], current.shape[0])
    part = np.s_[top:bottom, left:right]
    return bool((np.abs(current[part].astype(np.int16) - reference[part]) > _SAME).any())


def _find(pictures: list[Picture], finder: Finder, part: Box) -> list[Finding]:
    """Return what is read in a part of the pictures, in pixels of the whole."""
    return [
        Finding(finding.box.shifted(part.left, part.top), finding.text, finding.confidence)
        for picture in pictures
        for finding in finder.find(picture[part.top : part.bottom, part.left : part.right])
    ]
