"""Cutting a large picture into tiles that overlap, so that a letter on an edge is whole in one of them."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from deidentifier.pixels.boxes import Box
from deidentifier.pixels.pictures import Picture


def tiles(columns: int, rows: int, *, side: int, overlap: int = 160) -> Iterator[Box]:
    """Yield boxes of at most ``side`` pixels a side that cover a picture and overlap where they meet."""
    for top, bottom in _spans(rows, side, overlap):
        for left, right in _spans(columns, side, overlap):
            yield Box(left, top, right, bottom)


def parts(picture: Picture, part: Box | None, *, side: int) -> Iterator[Box]:
    """Yield the tiles of a part of a picture, of all of it for None, in pixels of the picture."""
    left, top, right, bottom = part or Box(0, 0, picture.shape[1], picture.shape[0])
    for tile in tiles(right - left, bottom - top, side=side):
        yield tile.shifted(left, top)


def _spans(length: int, side: int, overlap: int) -> list[tuple[int, int]]:
    count = max(1, ceil((length - overlap) / (side - overlap)))
    step = (length - overlap) / count
    return [(round(n * step), length if n == count - 1 else round((n + 1) * step) + overlap) for n in range(count)]
