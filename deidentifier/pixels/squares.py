"""Frames divided into squares: which of them changed, and boxes around those."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from deidentifier.pixels.boxes import Box

#: Pixels a side.
SQUARE = 32
#: When more of a frame than this is asked for, the whole of it is read: one call costs less than many.
_MOSTLY = 0.5

Squares = npt.NDArray[np.bool_]


def count_in_squares(pixels: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Return the number of pixels that are set in each square; the last ones of a frame may be narrower."""
    down, across = (np.arange(0, length, SQUARE) for length in pixels.shape)
    return np.add.reduceat(np.add.reduceat(pixels, down, axis=0, dtype=np.int32), across, axis=1)


def any_in_squares(pixels: npt.NDArray[np.bool_]) -> Squares:
    """Tell for each square whether a pixel is set in it."""
    return np.asarray(count_in_squares(pixels) > 0)


def in_pixels(squares: Squares, rows: int, columns: int) -> npt.NDArray[np.bool_]:
    """Return for each pixel what its square says."""
    return np.asarray(squares.repeat(SQUARE, axis=0).repeat(SQUARE, axis=1)[:rows, :columns])


def under(boxes: Iterable[Box], rows: int, columns: int) -> Squares:
    """Tell for each square whether a box touches it."""
    squares = np.zeros((-(-rows // SQUARE), -(-columns // SQUARE)), bool)
    for box in boxes:
        left, top, right, bottom = box.clipped(columns, rows)
        if left < right and top < bottom:
            squares[top // SQUARE : -(-bottom // SQUARE), left // SQUARE : -(-right // SQUARE)] = True
    return squares


def boxes_around(squares: Squares, rows: int, columns: int) -> list[Box]:
    """Return boxes of pixels that cover all squares that are set, each with the squares around it."""
    whole = [Box(0, 0, columns, rows)]
    if squares.mean() > _MOSTLY:
        return whole
    boxes = [group.scaled(SQUARE, SQUARE).clipped(columns, rows) for group in _groups(squares)]
    return whole if sum(box.area for box in boxes) > _MOSTLY * rows * columns else boxes


def _groups(squares: Squares) -> list[Box]:
    """Return boxes of squares around those that are set, grown by one square and joined until none overlap."""
    boxes: list[Box] = []
    for row, column in np.argwhere(squares):
        box = Box(int(column) - 1, int(row) - 1, int(column) + 2, int(row) + 2)
        while touching := [other for other in boxes if other.touches(box)]:
            boxes = [other for other in boxes if other not in touching]
            for other in touching:
                box = box.joined(other)
        boxes.append(box)
    return boxes
