"""The walk over the headers of data elements, items and fragments: where each begins and ends (PS3.5 7, A.4).

Elements that stand where they stood in other files are taken together (:mod:`common.dicom_stretches`). Sequences are
entered when someone asks; those of undefined length at once, as only their contents tell where they end.
"""

from __future__ import annotations

import struct

from common.dicom_dataset import DataSet, Element, Item
from common.dicom_head import DELIMITERS, IMPLICIT, UNDEFINED, Head, Syntax, with_creator
from common.dicom_stretches import SIZE
from common.errors import InvalidDicomError

MAX_DEPTH = 100
"""Sequences nested deeper than this are no image: files that only want to exhaust the stack."""

_ROOM, _BYTES_PER_ELEMENT, _ROOM_OF_ITEM = 100_000, 400, 2
"""Elements that any file may have, and one more for each so many bytes: an image of many frames has thousands, files
of nothing but tiny elements would take twenty times their size in memory. An item takes as much as two."""


class Walk:
    """Reads the headers in the bytes of one scan; bounds how many there may be by the size of the file."""

    __slots__ = ("_data", "_items", "_room")

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._items: dict[int, tuple[list[Item], int]] = {}
        self._room = _ROOM + size // _BYTES_PER_ELEMENT

    def forget(self) -> None:
        """Let go of the items that are remembered."""
        self._items.clear()

    def items(self, dataset: DataSet, element: Element) -> list[Item]:
        """Return the items of a sequence; walked once, then remembered."""
        head, _, value, end = element
        known = self._items.get(value)
        if known is None:
            syntax = IMPLICIT if head.written == "UN" else dataset.syntax
            known = self._items[value] = self._walk_items(dataset, syntax, value, end, False, _depth(dataset))
        return known[0]

    def _walk_items(
        self, parent: DataSet, syntax: Syntax, start: int, end: int, undefined: bool, depth: int
    ) -> tuple[list[Item], int]:
        """Walk over the items of a sequence; returns them and the offset behind the sequence."""
        if depth > MAX_DEPTH:
            raise InvalidDicomError(f"sequences nested deeper than {MAX_DEPTH}, at byte {start}")
        items: list[Item] = []
        position = start
        while position < end:
            kind, length = syntax.item_header(self._data, position, end)
            if kind == "sequence end":
                return items, position + 8
            first = position + 8
            stop = end if length == UNDEFINED else first + length
            if kind != "item" or stop > end:
                raise InvalidDicomError(f"a sequence is damaged at byte {position}")
            self._room -= _ROOM_OF_ITEM
            item = Item(parent.scan, syntax, first, stop, [], parent)
            item.header = position
            item.after = self.read(item, length == UNDEFINED, depth)
            items.append(item)
            position = item.after
        if undefined:
            raise InvalidDicomError(f"the sequence at byte {start} does not end")
        return items, position

    def read(self, dataset: DataSet, undefined: bool, depth: int) -> int:
        """Read element headers from ``dataset.start`` to ``dataset.end`` (undefined: to the item delimiter).

        Fills ``dataset.elements``, sets ``dataset.end``; returns the offset behind the delimiter.
        """
        try:
            return self._read(dataset, undefined, depth)
        except struct.error as exc:
            raise InvalidDicomError("the file ends in the middle of an element's header") from exc

    def _read(self, dataset: DataSet, undefined: bool, depth: int) -> int:
        private: list[int] = []
        if dataset.parent is None:
            position = self._read_stretches(dataset, depth, private)
        else:
            position = self._read_elements(dataset, dataset.start, depth, self._room + 1, private)
        self._room -= len(dataset.elements)
        if self._room < 0:
            raise InvalidDicomError("the file has too many elements for its size")
        if private:
            dataset.private = len(private)
            _attach_creators(dataset, private)
        return self._close(dataset, position, undefined)

    def _read_stretches(self, dataset: DataSet, depth: int, private: list[int]) -> int:
        """Read elements, those together that stand where they stood in other files."""
        data, elements, end = self._data, dataset.elements, dataset.end
        stretches = dataset.syntax.stretches
        position = dataset.start
        while position < end and len(elements) <= self._room:
            place = (position, data[position : position + 8])
            stretch = stretches.get(place)
            if stretch is not None and stretch.is_in(data, end):
                elements += stretch.elements
                position = stretch.end
                continue
            first, before = len(elements), len(private)
            room = self._room
            position = self._read_elements(dataset, position, depth, SIZE, private)
            if len(elements) < first + SIZE:
                break
            if len(private) == before and room == self._room:
                stretches.meet(place, data, elements[first:])
        return position

    def _read_elements(self, dataset: DataSet, position: int, depth: int, count: int, private: list[int]) -> int:
        """Read at most some elements, one by one; notes which are private; returns where the last one ends."""
        data, syntax, end = self._data, dataset.syntax, dataset.end
        known, long = syntax.entries.get, syntax.long
        elements = dataset.elements
        append = elements.append
        last = end - 8
        for _ in range(count):
            if position > last:
                break
            key = data[position : position + 8]
            head, size, special = known(key) or syntax.entry(key)
            length = 0
            if size:
                value = position + 8
                stop = position + size
            else:
                (length,) = long(data, position + head.length_at)
                value = position + head.length_at + 4
                stop = value + length
            if special or stop > end:
                if head.tag in DELIMITERS or not head.tag >> 16:
                    break
                if special:
                    private.append(len(elements))
                if stop > end:
                    if length != UNDEFINED:
                        if dataset.parent is None and _follows_the_end(head, elements):
                            private[:] = [each for each in private if each < len(elements)]
                            break
                        raise InvalidDicomError(f"element {head} at byte {position} goes beyond the end")
                    head, stop = self._walk_undefined(dataset, head, value, end, depth)
            append((head, position, value, stop))
            position = stop
        return position

    def _close(self, dataset: DataSet, position: int, undefined: bool) -> int:
        """Check that the elements end where they must; returns the offset behind the delimiter, if any."""
        end, dataset.end = dataset.end, position
        if undefined:
            if dataset.syntax.item_header(self._data, position, end)[0] != "item end":
                raise InvalidDicomError(f"the item at byte {dataset.start} does not end")
            return position + 8
        if dataset.parent is not None and position != end:
            raise InvalidDicomError(f"an item is damaged at byte {position}")
        return position

    def _walk_undefined(self, dataset: DataSet, head: Head, value: int, end: int, depth: int) -> tuple[Head, int]:
        """Find the end of an element of undefined length: fragments, or a sequence (PS3.5 7.5, A.4, 6.2.2)."""
        # Its end is no matter of its header, and the elements around it take room too.
        held = len(dataset.elements)
        self._room -= held + 1
        if head.holds_fragments:
            self._room += held
            return head, self._walk_fragments(dataset.syntax, value, end)
        head = head.as_sequence()
        syntax = IMPLICIT if head.written == "UN" else dataset.syntax
        known = self._items[value] = self._walk_items(dataset, syntax, value, end, True, depth + 1)
        self._room += held
        return head, known[1]

    def _walk_fragments(self, syntax: Syntax, position: int, end: int) -> int:
        while position < end:
            kind, length = syntax.item_header(self._data, position, end)
            if kind == "sequence end":
                return position + 8
            position += 8 + length
            if kind != "item":
                break
        raise InvalidDicomError("encapsulated pixel data do not end")


def _follows_the_end(head: Head, elements: list[Element]) -> bool:
    """Tell whether what cannot be an element are bytes after the data set: no known tag, or one out of order."""
    if not elements:
        return False
    if head.tag < elements[-1][0].tag:
        return True
    creator = head.tag & 0xFFFF0000 | head.tag >> 8 & 0xFF
    return not head.keyword and not any(element[0].tag == creator for element in elements)


def _attach_creators(dataset: DataSet, numbers: list[int]) -> None:
    """Give the private elements the creators of their blocks (PS3.5 7.8.1), wherever in the data set those stand.

    ``numbers`` are the places of the private elements among the data set's.
    """
    elements = dataset.elements
    creators: dict[int, str] = {}
    for number in numbers:
        head = elements[number][0]
        if head.is_creator:
            block = head.tag & 0xFFFF0000 | (head.tag & 0xFF) << 8
            creators[block] = dataset.raw(elements[number]).decode("latin-1").strip(" \0")
    for number in numbers:
        head, start, value, end = elements[number]
        creator = creators.get(head.tag & 0xFFFFFF00)
        if creator and not head.is_creator:
            elements[number] = (with_creator(head, creator), start, value, end)


def _depth(dataset: DataSet) -> int:
    depth, parent = 1, dataset.parent
    while parent is not None:
        depth, parent = depth + 1, parent.parent
    return depth
