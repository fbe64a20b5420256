"""Where every data element of a DICOM file stands: one pass over the element headers, without decoding values.

::

    scan(data) ──► Scan ── .dataset ──► DataSet ── .elements ──► (head, start, value, end), …
                                           ▲                          │
                                           └──── Item ◄── .items(element)

An element is a plain tuple of a :class:`Head` (what it is; shared by all elements that begin alike) and three
offsets into ``Scan.data``: of its header, its value, and its end. Sequences are entered when someone asks; those of
undefined length are walked at once, as only their contents tell where they end.

Every transfer syntax is read: implicit VR, explicit VR in both byte orders, deflated, with or without preamble and
file meta information (PS3.10 7.1; PS3.5 7, A).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from common.dicom_head import BIG_ENDIAN, DELIMITERS, EXPLICIT, IMPLICIT, UNDEFINED, Head, Syntax, with_creator
from common.dicom_stretches import SIZE
from common.dicom_text import READABLE, decode_values, encodings_of, strip_padding
from common.errors import InvalidDicomError
from common.tags import TagPath

MAX_INFLATED = 4 << 30
MAX_DEPTH = 100
"""Sequences nested deeper than this are no image: files that only want to exhaust the stack."""

_ROOM, _BYTES_PER_ELEMENT, _ROOM_OF_ITEM = 100_000, 400, 2
"""Elements that any file may have, and one more for each so many bytes: an image of many frames has thousands, files
of nothing but tiny elements would take twenty times their size in memory. An item takes as much as two."""

DEFLATED = "1.2.840.10008.1.2.1.99"
_SYNTAXES = {"1.2.840.10008.1.2": IMPLICIT, "1.2.840.10008.1.2.2": BIG_ENDIAN}

CHARACTER_SET = 0x00080005
PIXEL_DATA = (0x7FE00010, 0x7FE00008, 0x7FE00009)

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
        return self.scan.items(self, element)

    def raw(self, element: Element) -> bytes:
        """Return the bytes of an element's value."""
        return self.scan.data[element[2] : element[3]]

    def texts(self, element: Element) -> list[str]:
        """Return the values of an element as text, as the query language defines them; see :func:`decode_values`."""
        head = element[0]
        if head.vr == "SQ":
            return ["(item)"] * len(self.items(element))
        if (
            head.vr not in READABLE
        ):  # nothing is told of its bytes, which may be gigabytes of pixels: they are not copied
            return [""] if element[3] > element[2] else []
        return decode_values(self.raw(element), head.vr, self.encodings, self.syntax.order)


class Item(DataSet):
    """An item of a sequence; ``header`` is the offset of its item tag, ``after`` that behind its delimiter, if any."""

    __slots__ = ("after", "header")

    header: int
    after: int


@dataclass
class Scan:
    """A scanned file.

    Attributes
    ----------
    data
        The bytes that all offsets count in: the file's own; for a deflated file, the inflated data set's.
    transfer_syntax
        UID of the transfer syntax that the data set is in (what its bytes are, where the file says otherwise).
    meta
        The file meta information, None where there is none.
    """

    data: bytes
    transfer_syntax: str = ""
    meta: DataSet | None = None
    dataset: DataSet = field(init=False)
    _items: dict[int, tuple[list[Item], int]] = field(default_factory=dict, repr=False)
    _room: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        self.make_room()

    def make_room(self) -> None:
        """Set how many elements there may be, by the size of the data."""
        self._room = _ROOM + len(self.data) // _BYTES_PER_ELEMENT

    def release(self) -> None:
        """Let go of the elements, which are of no use then: they and the scan hold each other, and the bytes."""
        del self.dataset
        self.meta = None
        self._items.clear()

    def elements(self) -> Iterator[Element]:
        """Iterate over the elements of the top level."""
        return iter(self.dataset.elements)

    @property
    def pixel_data(self) -> Element | None:
        """The element of the pixel data (float and double float ones too), or None."""
        return next((element for element in reversed(self.dataset.elements) if element[0].tag in PIXEL_DATA), None)

    def value(self, tag: int) -> bytes | None:
        """Return the bytes of a top-level element's value, without padding at the end; None when absent."""
        element = self.dataset.find(tag)
        return None if element is None else strip_padding(self.dataset.raw(element))

    def text(self, tag: int) -> str:
        """Return the first value of a top-level or file meta element, an empty string where there is none."""
        return next(iter(self.values((tag,)) or []), "")

    def values(self, path: TagPath) -> list[str] | None:
        """Return the text of the values at a path, over all items; None when no such element is present."""
        level: list[DataSet] = [self.dataset]
        if path[0] >> 16 == 2:
            level = [self.meta] if self.meta else []
        for tag in path[:-1]:
            level = [item for dataset in level for item in _items_of(dataset, tag)]
        found = [(dataset, element) for dataset in level if (element := dataset.find(path[-1]))]
        return [text for dataset, element in found for text in dataset.texts(element)] if found else None

    def items(self, dataset: DataSet, element: Element) -> list[Item]:
        """Return the items of a sequence; walked once, then remembered."""
        head, _, value, end = element
        known = self._items.get(value)
        if known is None:
            syntax = IMPLICIT if head.written == "UN" else dataset.syntax
            known = self._items[value] = self.walk_items(dataset, syntax, value, end, False, _depth(dataset))
        return known[0]

    def walk_items(
        self, parent: DataSet, syntax: Syntax, start: int, end: int, undefined: bool, depth: int
    ) -> tuple[list[Item], int]:
        """Walk over the items of a sequence; returns them and the offset behind the sequence."""
        if depth > MAX_DEPTH:
            raise InvalidDicomError(f"sequences nested deeper than {MAX_DEPTH}, at byte {start}")
        items: list[Item] = []
        position = start
        while position < end:
            kind, length = syntax.item_header(self.data, position, end)
            if kind == "sequence end":
                return items, position + 8
            first = position + 8
            stop = end if length == UNDEFINED else first + length
            if kind != "item" or stop > end:
                raise InvalidDicomError(f"a sequence is damaged at byte {position}")
            self._room -= _ROOM_OF_ITEM
            item = Item(self, syntax, first, stop, [], parent)
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
        data, elements, end = self.data, dataset.elements, dataset.end
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
        data, syntax, end = self.data, dataset.syntax, dataset.end
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
            if dataset.syntax.item_header(self.data, position, end)[0] != "item end":
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
        known = self._items[value] = self.walk_items(dataset, syntax, value, end, True, depth + 1)
        self._room += held
        return head, known[1]

    def _walk_fragments(self, syntax: Syntax, position: int, end: int) -> int:
        while position < end:
            kind, length = syntax.item_header(self.data, position, end)
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


def _items_of(dataset: DataSet, tag: int) -> list[Item]:
    element = dataset.find(tag)
    return dataset.items(element) if element and element[0].vr == "SQ" else []


def scan(data: bytes | bytearray | memoryview, *, max_inflated: int = MAX_INFLATED) -> Scan:
    """Scan a DICOM file (PS3.10), or a bare data set.

    Parameters
    ----------
    data
        The bytes of the file.
    max_inflated
        Limit of the size of a deflated data set, in bytes.

    Raises
    ------
    InvalidDicomError
        The bytes are not DICOM, or damaged, or inflate beyond the limit. The message holds offsets and tags only.
    """
    data = bytes(data)
    found = Scan(data)
    start = _read_meta(found)
    declared = _meta_text(found, 0x00020010)
    if declared == DEFLATED:
        found.data = _inflate(data, start, max_inflated)
        found.make_room()
        start = 0
    syntax = _detect(found.data, start, declared)
    found.transfer_syntax = _uid_of(syntax, declared)
    found.dataset = DataSet(found, syntax, start, len(found.data), [])
    found.read(found.dataset, False, 0)
    if not found.dataset.elements:
        raise InvalidDicomError("the file holds no data set")
    return found


def scan_dataset(data: bytes, transfer_syntax: str) -> Scan:
    """Scan the bytes of a data set without file meta information, in a known transfer syntax (not deflated)."""
    found = Scan(data, transfer_syntax)
    found.dataset = DataSet(found, syntax_of(transfer_syntax), 0, len(data), [])
    found.read(found.dataset, False, 0)
    return found


def syntax_of(transfer_syntax: str) -> Syntax:
    """Return how the headers of a transfer syntax are written."""
    return _SYNTAXES.get(transfer_syntax, EXPLICIT)


def _read_meta(found: Scan) -> int:
    """Read the file meta information, if there is any; returns where the data set begins (PS3.10 7.1)."""
    start = 132 if found.data[128:132] == b"DICM" else 0
    if found.data[start : start + 2] != b"\x02\x00":
        return start
    end = _end_of_meta(found.data, start)
    found.meta = DataSet(found, EXPLICIT, start, end, [])
    found.read(found.meta, False, 0)
    return end


def _end_of_meta(data: bytes, position: int) -> int:
    """Step over the elements of group 0002; its own length is often wrong."""
    try:
        while data[position : position + 2] == b"\x02\x00":
            head = EXPLICIT.head(data[position : position + 8])
            length_at = position + head.length_at
            (length,) = EXPLICIT.short(data, length_at) if head.length_at == 6 else EXPLICIT.long(data, length_at)
            position = length_at + (2 if head.length_at == 6 else 4) + length
    except struct.error as exc:
        raise InvalidDicomError("the file ends in its file meta information") from exc
    if position > len(data):
        raise InvalidDicomError("the file ends in its file meta information")
    return position


def _meta_text(found: Scan, tag: int) -> str:
    element = found.meta.find(tag) if found.meta else None
    return "" if element is None else strip_padding(found.data[element[2] : element[3]]).decode("latin-1")


def _detect(data: bytes, start: int, declared: str) -> Syntax:
    """Tell how the headers are written: as declared, but for files that declare nothing or one thing and are another.

    The first element decides: its group is small in the right byte order, and two letters stand where explicit VR
    has them.
    """
    first = data[start : start + 8]
    if len(first) < 8:
        raise InvalidDicomError("the file holds no data set")
    if declared in _SYNTAXES and declared != "1.2.840.10008.1.2":
        return _SYNTAXES[declared]
    explicit = first[4:6].isalpha() and first[4:6].isupper()
    if not declared:
        if not _is_plausible(first):
            raise InvalidDicomError("this is not DICOM: it does not begin with a data element")
        if first[0] == 0 and first[1] > 0:
            return BIG_ENDIAN
    return EXPLICIT if explicit else IMPLICIT


def _is_plausible(first: bytes) -> bool:
    """Tell whether eight bytes can begin a data set: a standard group up to 00FF, in either byte order."""
    group = int.from_bytes(first[:2], "little")
    return (0x0008 <= group <= 0x00FF and first[0] % 2 == 0) or (first[0] == 0 and first[1] >= 8 and first[1] % 2 == 0)


def _uid_of(syntax: Syntax, declared: str) -> str:
    """Return the transfer syntax that the bytes are in; the declared one unless they contradict it."""
    if syntax is IMPLICIT:
        return "1.2.840.10008.1.2"
    if syntax is BIG_ENDIAN:
        return "1.2.840.10008.1.2.2"
    return declared if declared and declared != "1.2.840.10008.1.2" else "1.2.840.10008.1.2.1"


def _inflate(data: bytes, start: int, limit: int) -> bytes:
    """Inflate a deflated data set (PS3.5 A.5), in pieces, up to a limit."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(memoryview(data)[start:], limit)
        if inflater.unconsumed_tail and inflater.decompress(inflater.unconsumed_tail, 1):
            raise InvalidDicomError(f"the deflated data set is larger than {limit} bytes")
    except zlib.error as exc:
        raise InvalidDicomError("the deflated data set is damaged") from exc
    if not inflater.eof:
        raise InvalidDicomError("the deflated data set ends too early")
    return inflated
