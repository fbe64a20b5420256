"""ICC profiles without their texts and dates (ICC.1:2022): the colours stay exactly as they are.

What scanners and displays write beside the colours names makers, owners, serial numbers and days of calibration, in
tags of the standard and in private ones. The result is made of what is known to be numbers, in its place; all else is
zero. PS3.15 has no row for ICCProfile (0028,2000).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from deidentifier.profiles.treatments import Treatment

if TYPE_CHECKING:
    from deidentifier.element import ElementInWork

ICC_PROFILE = 0x00282000

_HEADER, _ENTRY, _MOST_TAGS = 128, struct.Struct(">4sII"), 100
_SIGNATURE, _DATE, _ID = slice(36, 40), slice(24, 36), slice(84, 128)
_FIRST_DAY = struct.pack(">6H", 1900, 1, 1, 0, 0, 0)
# What a tag's numbers take, by its type (ICC.1:2022 10); those of look-up tables reach to the end of the tag.
_NUMBERS: dict[bytes, Callable[[bytes], int]] = {
    b"XYZ ": lambda data: 20,
    b"curv": lambda data: 12 + 2 * int.from_bytes(data[8:12], "big"),
    b"para": lambda data: 12 + 4 * (1, 3, 4, 5, 7)[int.from_bytes(data[8:10], "big")],
    b"sf32": lambda data: 44,
    b"sig ": lambda data: 12,
    b"meas": lambda data: 36,
    b"view": lambda data: 36,
    b"chrm": lambda data: 12 + 8 * int.from_bytes(data[8:10], "big"),
    b"cicp": lambda data: 12,
    b"clro": lambda data: 12 + int.from_bytes(data[8:12], "big"),
    b"mft1": len,
    b"mft2": len,
    b"mAB ": len,
    b"mBA ": len,
    b"mpet": len,
    b"vcgt": len,
}
# Tags that colours are computed with.
_COLOURS = frozenset(
    (*(f"{way}{number}".encode() for way in ("A2B", "B2A", "B2D", "D2B", "pre", "rig") for number in range(4)),
     b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"kTRC", b"wtpt", b"bkpt", b"chad", b"chrm", b"cicp",
     b"gamt", b"lumi", b"meas", b"view", b"tech", b"clro", b"ciis", b"vcgt")
)  # fmt: skip
# Descriptions that tell a colour space and nothing else.
_SPACES = re.compile(
    r"s ?RGB( IEC61966-?2[.-]1)?( built-in)?|sRGB2014|sRGB v4 ICC preference.{0,40}|Adobe RGB \(1998\)|Display P3"
    r"|Apple RGB|ColorMatch RGB|ProPhoto RGB|ROMM RGB|Wide Gamut RGB|Generic (RGB|Gray|CMYK)( Gamma 2\.2)?( Profile)?"
    r"|Dot Gain \d\d%|Gray Gamma \d\.\d|(ITU-R )?BT\.(601|709|2020)|Rec\. ?(601|709|2020)"
)


def treat_icc() -> Treatment:
    """Return what is done to an ICC profile."""
    return Treatment("texts and dates of the ICC profile removed", act=_clean)


def _clean(element: ElementInWork) -> None:
    if element.is_empty:
        return
    cleaned = without_texts(element.raw)
    if cleaned is None:
        element.note("no ICC profile: emptied")
        element.empty()
    elif cleaned != element.raw:
        element.raw = cleaned
        element.changed = True


@lru_cache(maxsize=16)
def without_texts(raw: bytes) -> bytes | None:
    """Return a profile of the same length with its colours alone; None where the bytes are no profile.

    A description stays that is the name of a standard colour space.
    """
    tags = _tags(raw)
    if tags is None:
        return None
    result = bytearray(len(raw))
    table = _HEADER + 4 + _ENTRY.size * len(tags)
    result[:table] = raw[:table]
    result[_DATE] = _FIRST_DAY
    result[_ID] = bytes(_ID.stop - _ID.start)
    for name, start, end in tags:
        text = _empty_text(raw[start:end], _space_of(raw[start:end]) if name == b"desc" else "")
        result[start : start + len(text)] = text
    for name, start, end in tags:
        used = _used(raw[start:end]) if name in _COLOURS else 0
        result[start : start + used] = raw[start : start + used]
    return bytes(result)


def _tags(raw: bytes) -> list[tuple[bytes, int, int]] | None:
    """Return the tags of a profile, with where their data begin and end."""
    if len(raw) < _HEADER + 4 or raw[_SIGNATURE] != b"acsp":
        return None
    size, count = int.from_bytes(raw[:4], "big"), int.from_bytes(raw[_HEADER : _HEADER + 4], "big")
    first = _HEADER + 4 + _ENTRY.size * count
    if count > _MOST_TAGS or not first <= size <= len(raw):
        return None
    entries = _ENTRY.iter_unpack(raw[_HEADER + 4 : first])
    found = [(name, start, start + length) for name, start, length in entries]
    return found if all(first <= start and start + 8 <= end <= size for _, start, end in found) else None


def _used(data: bytes) -> int:
    """Return how many bytes of a tag are numbers: none where its type is not one of numbers."""
    try:
        return min(_NUMBERS[data[:4]](data), len(data))
    except LookupError:
        return 0


def _space_of(data: bytes) -> str:
    """Return the description where it names a standard colour space."""
    if data[:4] == b"desc":
        text = data[12 : 11 + int.from_bytes(data[8:12], "big")].decode("latin-1")
    elif data[:4] == b"mluc" and len(data) >= 28:
        length, start = struct.unpack(">II", data[20:28])
        text = data[start : start + length].decode("utf-16-be", "replace")
    else:
        return ""
    return text if _SPACES.fullmatch(text := text.strip(" \0")) else ""


def _empty_text(data: bytes, text: str) -> bytes:
    """Return what stands for the data of a tag that is no colour: its type, and nothing or a harmless text."""
    if data[:4] == b"mluc":
        written = text.encode("utf-16-be")
        found = b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(written), 28) + written
    elif data[:4] == b"desc":
        found = b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text.encode() + b"\0"
    else:
        found = data[:4] if data[:4] in _TYPES else b""
    return found if len(found) <= len(data) else b""


_TYPES = frozenset(
    (*_NUMBERS, b"text", b"dtim", b"data", b"pseq", b"psid", b"dict", b"uf32", b"ui08", b"ui16", b"ui32")
)
