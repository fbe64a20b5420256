"""Element headers: what the first bytes of a data element say, in each transfer syntax (PS3.5 7.1).

A :class:`Head` is made once for each distinct beginning (tag and VR) and kept, so that the scanner recognises an
element by one look-up.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache

from common.dicom_dictionary import private_vr_of, row_of
from common.dicom_stretches import Stretches
from common.errors import InvalidDicomError
from common.tags import format_tag, is_private

ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
DELIMITERS = (ITEM, ITEM_END, SEQUENCE_END)
_KINDS = {ITEM: "item", ITEM_END: "item end", SEQUENCE_END: "sequence end"}

# VRs whose length has 16 bits; all others have two reserved bytes and 32 (PS3.5 7.1.2).
_SHORT = frozenset(("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN")) | frozenset(
    ("SH", "SL", "SS", "ST", "TM", "UI", "UL", "US")
)
_FRAGMENTS = frozenset(("OB", "OW", "OF", "OD", "OL", "OV"))
_LONG = _FRAGMENTS | frozenset(("SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
VALUE_REPRESENTATIONS = _SHORT | _LONG
"""Those of PS3.5 6.2."""
_KEPT = 100_000
UNDEFINED = 0xFFFFFFFF


class Head:
    """What an element is.

    Attributes
    ----------
    tag, vr, keyword, name
        ``name`` is the keyword, or the tag where there is none; ``vr`` is the effective one: where the file gives
        none (implicit VR) or ``UN``, that of the dictionary.
    written
        The VR that stands in the file; empty in implicit VR.
    creator
        The private creator of the element's block; empty where there is none, and for standard elements.
    length_at
        Offset of the length in the header; 6 means two bytes, else four.
    is_creator
        Whether the element names the owner of a private block: (gggg,0010–00FF) (PS3.5 7.8.1).
    emptied
        Its header with the length 0; empty for one that stands in no file.
    special
        Private, or a delimiter, or of group 0000: what the scanner has to look at twice.
    """

    __slots__ = (
        "_sequence",
        "creator",
        "emptied",
        "is_creator",
        "keyword",
        "length_at",
        "name",
        "special",
        "tag",
        "vr",
        "written",
    )

    def __init__(self, tag: int, vr: str, written: str, length_at: int, creator: str = "") -> None:
        self.tag = tag
        self.vr = vr
        self.written = written
        self.length_at = length_at
        self.creator = creator
        row = None if is_private(tag) else row_of(tag)
        self.keyword = row[4] if row else ""
        self.name = self.keyword or format_tag(tag)
        self.is_creator = is_private(tag) and 0x10 <= tag & 0xFFFF <= 0xFF
        self.special = is_private(tag) or tag in DELIMITERS or tag >> 16 == 0
        self.emptied = b""
        self._sequence: Head | None = None

    def __str__(self) -> str:
        return format_tag(self.tag)

    @property
    def holds_fragments(self) -> bool:
        """Whether, with undefined length, the value consists of fragments and not of items (PS3.5 A.4)."""
        return self.vr in _FRAGMENTS

    def as_sequence(self) -> Head:
        """Return the same element as a sequence: what is of undefined length and unknown VR is one (PS3.5 6.2.2)."""
        if self.vr == "SQ":
            return self
        if self._sequence is None:
            self._sequence = Head(self.tag, "SQ", self.written, self.length_at, self.creator)
            self._sequence.emptied = self.emptied
        return self._sequence


Entry = tuple[Head, int, bool]
"""What the first eight bytes of an element say: its head, its size with the header (0 where that stands behind the
eight bytes, or is undefined), and whether it is special."""


class Syntax:
    """How headers are written: explicit or implicit VR, byte order (``<`` or ``>``)."""

    def __init__(self, *, explicit: bool, order: str) -> None:
        self.explicit = explicit
        self.order = order
        self.entries: dict[bytes, Entry] = {}
        self.stretches = Stretches()
        self._heads: dict[bytes, Head] = {}
        self.short: Callable[[bytes, int], tuple[int, ...]] = struct.Struct(order + "H").unpack_from
        self.long: Callable[[bytes, int], tuple[int, ...]] = struct.Struct(order + "L").unpack_from
        self._pack_short = struct.Struct(order + "H").pack
        self._pack_long = struct.Struct(order + "L").pack
        self._tag = struct.Struct(order + "HH")
        self._header = struct.Struct(order + "HHL")
        self._explicit = {"short": struct.Struct(order + "HH2sH"), "long": struct.Struct(order + "HH2sHL")}
        self.group_length = self.write_header(0, "UL", 4)[2:]
        """What every group length element begins with, behind the number of its group (PS3.5 7.2)."""

    def entry(self, key: bytes) -> Entry:
        """Return what the first eight bytes of an element say, and remember it: headers come again and again."""
        if len(self.entries) >= _KEPT:
            self.entries.clear()
        head = self.head(key)
        size = 0
        if head.length_at == 6:
            size = 8 + self.short(key, 6)[0]
        elif head.length_at == 4 and (length := self.long(key, 4)[0]) != UNDEFINED:
            size = 8 + length
        entry = self.entries[key] = (head, size, head.special)
        return entry

    def head(self, key: bytes) -> Head:
        """Return the head of an element that begins with these bytes: one object for all that have tag and VR."""
        beginning = key[:6] if self.explicit else key[:4]
        head = self._heads.get(beginning)
        if head is None:
            if len(self._heads) >= _KEPT:
                self._heads.clear()
            head = self._heads[beginning] = self._make(key)
            head.emptied = key[: min(head.length_at, 6)].ljust(
                head.length_at + (2 if head.length_at == 6 else 4), b"\0"
            )
        return head

    def _make(self, key: bytes) -> Head:
        group, element = self._tag.unpack_from(key)
        tag = group << 16 | element
        written = key[4:6].decode("latin-1")
        if tag in DELIMITERS or not self.explicit:
            return Head(tag, _dictionary_vr(tag), "", 4)
        if written in _SHORT or (written not in _LONG and written.isalpha() and written.isupper()):
            return Head(tag, written, written, 6)
        if written not in _LONG:
            # No VR at all: some writers switch to implicit VR in the middle, and pydicom follows them.
            return Head(tag, _dictionary_vr(tag), "", 4)
        return Head(tag, _dictionary_vr(tag) if written == "UN" else written, written, 8)

    def item_header(self, data: bytes, position: int, end: int) -> tuple[str, int]:
        """Read an item tag or a delimiter: its kind (empty for any other tag) and its length."""
        if position + 8 > end:
            raise InvalidDicomError(f"the file or the sequence ends in an item's header at byte {position}")
        group, element, length = self._header.unpack_from(data, position)
        return _KINDS.get(group << 16 | element, ""), length

    def write_item_header(self, tag: int, length: int) -> bytes:
        """Return the bytes of an item tag or delimiter."""
        return self._header.pack(tag >> 16, tag & 0xFFFF, length)

    def write_header(self, tag: int, vr: str, length: int) -> bytes:
        """Return the bytes of an element's header.

        Raises
        ------
        struct.error
            The length does not fit the VR.
        """
        if not self.explicit:
            return self._header.pack(tag >> 16, tag & 0xFFFF, length)
        if vr in _SHORT:
            return self._explicit["short"].pack(tag >> 16, tag & 0xFFFF, vr.encode(), length)
        return self._explicit["long"].pack(tag >> 16, tag & 0xFFFF, vr.encode(), 0, length)

    def with_length(self, data: bytes, start: int, head: Head, length: int) -> bytes:
        """Return the header that stands at ``start`` with another length; tag and VR stay as they are written.

        Raises
        ------
        struct.error
            The length does not fit.
        """
        at = head.length_at
        return data[start : start + at] + (self._pack_short(length) if at == 6 else self._pack_long(length))


IMPLICIT = Syntax(explicit=False, order="<")
EXPLICIT = Syntax(explicit=True, order="<")
BIG_ENDIAN = Syntax(explicit=True, order=">")


def _dictionary_vr(tag: int) -> str:
    """Return the dictionary's VR; ``UN`` where it has none. Where the pixels decide, the usual one."""
    if tag in DELIMITERS:
        return ""
    if tag & 0xFFFF == 0:
        return "UL"
    if is_private(tag):
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
    row = row_of(tag)
    if row is None:
        return "UN"
    vr = row[0]
    return "OW" if vr.endswith("OW") else vr[:2]


@lru_cache(maxsize=50_000)
def with_creator(head: Head, creator: str) -> Head:
    """Return the head of a private element in the block of a creator; its VR by pydicom's private dictionary."""
    vr = head.vr
    if head.written in ("", "UN") and vr == "UN":
        vr = private_vr_of(head.tag, creator)[:2] or "UN"
    owned = Head(head.tag, vr, head.written, head.length_at, creator)
    owned.emptied = head.emptied
    return owned
