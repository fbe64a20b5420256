"""Data sets and items of a scanned file: their elements, as places in the file's bytes.

An element is a plain tuple of a :class:`~common.dicom_head.Head` (what it is; shared by all elements that begin
alike) and three offsets into ``Scan.data``: of its header, its value, and its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.dicom_head import Head, Syntax
from common.dicom_text import READABLE, decode_values, encodings_of

if TYPE_CHECKING:
    from common.dicom_scan import Scan

CHARACTER_SET = 0x00080005

Element = tuple[Head, int, int, int]
"""What an element is; offsets of its header, its value, its end (delimiters included)."""


class DataSet:
    """The elements of a data set or of one item, in the order of the file.

    ``end`` is where the last element ends; ``parent`` is the data set that holds the item's sequence; ``private``
    is the number of private elements.
    """

    __slots__ = ("_encodings", "elements", "end", "parent", "private", "scan", "start", "syntax")

    def __init__(
        self, scan: Scan, syntax: Syntax, start: int, end: int, elements: list[Element], parent: DataSet | None = None
    ) -> None:
        self.scan = scan
        self.syntax = syntax
        self.start = start
        self.end = end
        self.elements = elements
        self.parent = parent
        self.private = 0
        self._encodings: tuple[str, ...] | None = None

    def find(self, tag: int) -> Element | None:
        """Return the first element with a tag."""
        for element in self.elements:
            if element[0].tag == tag:
                return element
        return None

    @property
    def encodings(self) -> tuple[str, ...]:
        """Python's names of the character sets in force: an item's own, or its parent's (PS3.5 6.1.2)."""
        if self._encodings is None:
            element = self.find(CHARACTER_SET)
            if element is not None:
                self._encodings = encodings_of(bytes(self.scan.data[element[2] : element[3]]))
            else:
                self._encodings = self.parent.encodings if self.parent else encodings_of(b"")
        return self._encodings

    def items(self, element: Element) -> list[Item]:
        """Return the items of a sequence.

        Raises
        ------
        InvalidDicomError
            The value is not made of items.
        """
        return self.scan.walk.items(self, element)

    def raw(self, element: Element) -> bytes:
        """Return the bytes of an element's value."""
        return self.scan.data[element[2] : element[3]]

    def texts(self, element: Element) -> list[str]:
        """Return the values of an element as text, as the query language defines them; see :func:`decode_values`."""
        head = element[0]
        if head.vr == "SQ":
            return ["(item)"] * len(self.items(element))
        if head.vr not in READABLE:  # its bytes, which may be gigabytes of pixels, are not copied
            return [""] if element[3] > element[2] else []
        return decode_values(self.raw(element), head.vr, self.encodings, self.syntax.order)


class Item(DataSet):
    """An item of a sequence; ``header`` is the offset of its item tag, ``after`` that behind its delimiter, if any."""

    __slots__ = ("after", "header")

    header: int
    after: int
