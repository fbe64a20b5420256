"""Rectangles of pixels: what a rule names, what text was found in, what is blackened."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, floor
from typing import NamedTuple


class Box(NamedTuple):
    """Columns ``left`` to ``right`` and rows ``top`` to ``bottom``, counted from 0; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        """Number of pixels; 0 for an empty box."""
        return max(0, self.right - self.left) * max(0, self.bottom - self.top)

    def clipped(self, columns: int, rows: int) -> Box:
        """Return the part of the box that lies in an image of that size (it may be empty)."""
        return Box(max(0, self.left), max(0, self.top), min(columns, self.right), min(rows, self.bottom))

    def clipped_to(self, other: Box) -> Box:
        """Return the part of the box that lies in another one (it may be empty)."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    @property
    def size(self) -> tuple[int, int]:
        """Number of columns and of rows."""
        return self.right - self.left, self.bottom - self.top

    def joined(self, other: Box) -> Box:
        """Return the smallest box that covers both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def shifted(self, columns: int, rows: int) -> Box:
        """Return the box moved to the right and down."""
        return Box(self.left + columns, self.top + rows, self.right + columns, self.bottom + rows)

    def padded(self, pixels: int) -> Box:
        """Return the box grown on all four sides."""
        return Box(self.left - pixels, self.top - pixels, self.right + pixels, self.bottom + pixels)

    def scaled(self, horizontally: float, vertically: float) -> Box:
        """Return the smallest box of whole pixels that covers this one in an image of another size."""
        return Box(
            floor(self.left * horizontally),
            floor(self.top * vertically),
            ceil(self.right * horizontally),
            ceil(self.bottom * vertically),
        )

    def aligned(self, width: int, height: int) -> Box:
        """Return the smallest box that covers this one and consists of whole blocks of that size."""
        return Box(
            self.left // width * width,
            self.top // height * height,
            -(-self.right // width) * width,
            -(-self.bottom // height) * height,
        )

    def touches(self, other: Box) -> bool:
        """Tell whether the two overlap."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


#: The boxes of one frame.
Boxes = tuple[Box, ...]


def clip(boxes: Iterable[Box], columns: int, rows: int) -> Boxes:
    """Return what of the boxes lies in an image of that size, without empty ones and without repetitions."""
    clipped = dict.fromkeys(box.clipped(columns, rows) for box in boxes)
    return tuple(box for box in clipped if box.area)
