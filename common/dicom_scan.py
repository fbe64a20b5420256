"""Where every data element of a DICOM file stands: one pass over the element headers, without decoding values.

::

    scan(data) ──► Scan ── .dataset ──► DataSet ── .elements ──► (head, start, value, end), …
                                           ▲                          │
                                           └──── Item ◄── .items(element)

Every transfer syntax is read: implicit VR, explicit VR in both byte orders, deflated, with or without preamble and
file meta information (PS3.10 7.1; PS3.5 7, A). Data sets are :mod:`common.dicom_dataset`'s, :mod:`common.dicom_walk`
finds their elements.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from common.dicom_dataset import DataSet, Element, Item
from common.dicom_head import BIG_ENDIAN, EXPLICIT, IMPLICIT, Syntax
from common.dicom_text import strip_padding
from common.dicom_walk import Walk
from common.errors import InvalidDicomError
from common.tags import TagPath

MAX_INFLATED = 4 << 30

DEFLATED = "1.2.840.10008.1.2.1.99"
_SYNTAXES = {"1.2.840.10008.1.2": IMPLICIT, "1.2.840.10008.1.2.2": BIG_ENDIAN}

PIXEL_DATA = (0x7FE00010, 0x7FE00008, 0x7FE00009)


@dataclass
class Scan:
    """A scanned file.

    Attributes
    ----------
    data
        The bytes that all offsets count in: the file's own; for a deflated file, the inflated data set's, while those
        of ``meta`` count in the file (``meta.scan.data``).
    transfer_syntax
        UID of the transfer syntax that the data set is in (what its bytes are, where the file says otherwise).
    meta
        The file meta information, None where there is none.
    dataset
        The data set.
    size
        Bytes of the file, where ``data`` are its outline.
    walk
        What finds the elements in ``data``.
    """

    data: bytes
    transfer_syntax: str = ""
    meta: DataSet | None = None
    size: int = 0
    dataset: DataSet = field(init=False)
    walk: Walk = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.walk = Walk(self.data, max(self.size, len(self.data)))

    def release(self) -> None:
        """Let go of the elements, which are of no use then: they and the scan hold each other, and the bytes."""
        del self.dataset
        self.meta = None
        self.walk.forget()

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


def _items_of(dataset: DataSet, tag: int) -> list[Item]:
    element = dataset.find(tag)
    return dataset.items(element) if element and element[0].vr == "SQ" else []


def scan(data: bytes | bytearray | memoryview, *, max_inflated: int = MAX_INFLATED, size: int = 0) -> Scan:
    """Scan a DICOM file (PS3.10), or a bare data set.

    Parameters
    ----------
    data
        The bytes of the file.
    max_inflated
        Limit of the size of a deflated data set, in bytes.
    size
        Bytes of the file whose outline the data are (:mod:`common.dicom_outline`), and may have elements for.

    Raises
    ------
    InvalidDicomError
        The bytes are not DICOM, or damaged, or inflate beyond the limit. The message holds offsets and tags only.
    """
    data = bytes(data)
    found = Scan(data, size=size)
    start = _read_meta(found)
    declared = _meta_text(found, 0x00020010)
    if declared == DEFLATED:
        # The offsets of the file meta information go on to count in the file, of which it has a scan of its own.
        meta, found.meta = found.meta, None
        found, start = Scan(_inflate(data, start, max_inflated), meta=meta), 0
    syntax = detect_syntax(found.data, start, declared)
    found.transfer_syntax = _uid_of(syntax, declared)
    found.dataset = DataSet(found, syntax, start, len(found.data), [])
    found.walk.read(found.dataset, False, 0)
    if not found.dataset.elements:
        raise InvalidDicomError("the file holds no data set")
    return found


def scan_dataset(data: bytes, transfer_syntax: str) -> Scan:
    """Scan the bytes of a data set without file meta information, in a known transfer syntax (not deflated)."""
    found = Scan(data, transfer_syntax)
    found.dataset = DataSet(found, syntax_of(transfer_syntax), 0, len(data), [])
    found.walk.read(found.dataset, False, 0)
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
    found.walk.read(found.meta, False, 0)
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


def detect_syntax(data: bytes, start: int, declared: str) -> Syntax:
    """Tell how headers are written: as declared, but for files that declare nothing or one thing and are another.

    The first element, at ``start``, decides: its group is small in the right byte order, and two letters stand where
    explicit VR has them.
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
