"""Writing values: numbers and text as bytes, padded to even length (PS3.5 6.2, 7.1.1)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from common.dicom_text import NUMBERS, encode_text
from common.tags import parse_tag

_FLOATS = frozenset(("FL", "FD"))


def encode_values(vr: str, values: Sequence[str], encodings: tuple[str, ...], order: str) -> bytes:
    """Return the bytes of values.

    Parameters
    ----------
    values
        As text; numbers decimal, ``AT`` as keywords or tags.
    encodings
        Python's names of the character sets; what they cannot express becomes a question mark.
    order
        ``<`` or ``>``, as :mod:`struct` writes byte orders.
    """
    if vr in NUMBERS:
        return b"".join(_pack(vr, value, order) for value in values if value)
    return pad(encode_text("\\".join(values), encodings), vr)


def _pack(vr: str, value: str, order: str) -> bytes:
    if vr == "AT":
        tag = parse_tag(value)
        return struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    return struct.pack(order + NUMBERS[vr], float(value) if vr in _FLOATS else int(value))


def pad(raw: bytes, vr: str) -> bytes:
    """Return text padded to even length: UIDs with NUL, all other text with a space."""
    if len(raw) % 2 == 0:
        return raw
    return raw + (b"\0" if vr == "UI" else b" ")
