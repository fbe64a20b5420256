"""Values of data elements as text: character sets, padding, multiplicity, numbers (PS3.5 6.1, 6.2)."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from functools import lru_cache

# VRs whose repertoire the character set extends; all other text is ASCII (PS3.5 6.1.2.3).
TEXT = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UT"])
# VRs that are one value, backslashes included (PS3.5 6.2).
SINGLE = frozenset(["LT", "ST", "UT", "UR"])
ASCII = frozenset(["AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"])
NUMBERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "UV": "Q", "SV": "q", "FL": "f", "FD": "d", "AT": "HH"}
READABLE = TEXT | ASCII | NUMBERS.keys()
"""VRs whose values :func:`decode_values` tells; of all others it tells whether there is one."""


# What most files name, and needs nothing of pydicom: its import takes as long as de-identifying 500 images.
_FREQUENT = {b"": ("iso8859",), b"ISO_IR 6": ("iso8859",), b"ISO_IR 100": ("latin_1",), b"ISO_IR 192": ("UTF8",)}


def strip_padding(raw: bytes) -> bytes:
    """Return a text value without what fills it up at its end: spaces, and NULs (PS3.5 6.2)."""
    return raw.rstrip(b" \0")


@lru_cache(maxsize=1000)
def encodings_of(character_sets: bytes) -> tuple[str, ...]:
    """Return Python's names of the encodings that a SpecificCharacterSet names; unknown ones are left out."""
    found = _FREQUENT.get(strip_padding(character_sets))
    if found is not None:
        return found
    from pydicom.charset import convert_encodings

    terms = [term.strip(" \0") for term in character_sets.decode("latin-1").split("\\")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return tuple(convert_encodings(terms)) or ("ascii",)
        except (LookupError, ValueError):
            return ("iso8859",)


def known_term(term: str) -> bool:
    """Tell whether a term names a character set (PS3.3 C.12.1.1.2)."""
    if term.encode("utf-8", "replace") in _FREQUENT:
        return True
    from pydicom.charset import python_encoding

    return term in python_encoding


def decode_text(raw: bytes, encodings: tuple[str, ...]) -> str:
    """Decode the bytes of a text value; what is illegal in its character set is read as ISO 8859-1, so it stays."""
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii")
    if b"\x1b" not in raw:
        try:
            return raw.decode(encodings[0])
        except (UnicodeError, LookupError):
            return raw.decode("iso8859")
    from pydicom.charset import decode_bytes
    from pydicom.valuerep import TEXT_VR_DELIMS

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return decode_bytes(raw, encodings, TEXT_VR_DELIMS)
        except (UnicodeError, LookupError, UserWarning):
            return raw.decode("iso8859")


def encode_text(text: str, encodings: tuple[str, ...]) -> bytes:
    """Encode text; what the character sets cannot express becomes a question mark."""
    if text.isascii():
        return text.encode("ascii")
    for encoding in encodings:
        try:
            return _encode(text, encoding)
        except UnicodeEncodeError:
            continue
    return text.encode("ascii", "replace")


def _encode(text: str, encoding: str) -> bytes:
    from pydicom.charset import encode_string

    return bytes(encode_string(text, [encoding, "ascii"]))


def split_values(text: str, vr: str) -> list[str]:
    """Split decoded text into values and take their padding away; an empty text has no values."""
    text = text.rstrip(" \0")
    if not text:
        return []
    if vr in SINGLE:
        return [text]
    return [value.strip(" \0") for value in text.split("\\")]


def decode_values(raw: bytes, vr: str, encodings: tuple[str, ...], order: str) -> list[str]:
    """Return the values of an element as the query language compares them.

    ``DS``, ``FL``, ``FD`` as Python writes the float; ``IS`` and integers decimal; ``AT`` as 8 hexadecimal digits;
    ``PN`` its alphabetic group, then its other groups as further values; other text decoded, without padding;
    binary values as one empty text. No values: an empty list.

    Parameters
    ----------
    raw
        The bytes of the value.
    order
        ``<`` or ``>``, as :mod:`struct` writes byte orders.
    """
    if not raw:
        return []
    if vr in NUMBERS:
        return _decode_numbers(raw, vr, order)
    if vr == "PN":
        return _decode_names(split_values(decode_text(raw, encodings), vr))
    if vr in TEXT:
        return split_values(decode_text(raw, encodings), vr)
    if vr in ASCII:
        values = split_values(raw.decode("ascii" if raw.isascii() else "iso8859"), vr)
        convert = _AS_NUMBER.get(vr)
        return [convert(value) for value in values] if convert else values
    return [""]


def _decode_names(values: list[str]) -> list[str]:
    """Alphabetic groups of all values first, then what other groups there are."""
    groups = [value.split("=") for value in values]
    return [value[0].strip() for value in groups] + [group for value in groups for group in value[1:] if group]


def _decode_numbers(raw: bytes, vr: str, order: str) -> list[str]:
    code = NUMBERS[vr]
    size = struct.calcsize("<" + code)
    numbers = struct.iter_unpack(order + code, raw[: len(raw) - len(raw) % size])
    if vr == "AT":
        return [f"{group:04X}{element:04X}" for group, element in numbers]
    return [str(number) for (number,) in numbers]


def _as_float(text: str) -> str:
    try:
        return str(float(text)) if text else ""
    except ValueError:
        return text


def _as_integer(text: str) -> str:
    try:
        return str(int(text)) if text else ""
    except ValueError:
        return text


_AS_NUMBER: dict[str, Callable[[str], str]] = {"DS": _as_float, "IS": _as_integer}
