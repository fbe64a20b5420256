"""Stretches of element headers that stand at the same offsets, byte for byte, in many files: known at one glance.

Slices of a series begin alike: the same elements with values of the same lengths. A stretch is a few elements in
succession; where all their headers are found again at their offsets, the elements stand where they stood, so they
need not be read one by one. Values are not looked at, and none are kept.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.dicom_head import Head

    Element = tuple[Head, int, int, int]

SIZE = 8
"""Elements of a stretch."""
_KEPT = 4_000
_Place = tuple[int, bytes]


class Stretch:
    """Elements in succession."""

    __slots__ = ("_headers", "_unpack", "elements", "end", "start")

    def __init__(self, data: bytes, elements: list[Element]) -> None:
        self.elements = tuple(elements)
        self.start, self.end = elements[0][1], elements[-1][3]
        layout = "".join(f"{value - start}s{end - value}x" for _, start, value, end in elements[:-1])
        last = elements[-1]
        self._unpack = struct.Struct(f"<{layout}{last[2] - last[1]}s").unpack_from
        self._headers = self._unpack(data, self.start)

    def is_in(self, data: bytes, end: int) -> bool:
        """Tell whether the same headers stand at the same offsets, in a data set that ends at ``end``."""
        return self.end <= end and self._unpack(data, self.start) == self._headers


class Stretches:
    """The stretches that a process has met twice, by offset and first header; bounded."""

    def __init__(self) -> None:
        self._known: dict[_Place, Stretch] = {}
        self._met: set[_Place] = set()
        self.get = self._known.get

    def meet(self, place: _Place, data: bytes, elements: list[Element]) -> None:
        """Take note of elements that were read one by one, none of them private or of undefined length."""
        if place not in self._met:
            if len(self._met) >= _KEPT:
                self._met.clear()
            self._met.add(place)
            return
        self._met.discard(place)
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[place] = Stretch(data, elements)
