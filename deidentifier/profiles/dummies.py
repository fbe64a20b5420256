"""Dummy values: legal for the VR, the same for everybody, telling nothing (PS3.15 table E.1-1a, action D)."""

from __future__ import annotations

from common.dicom_text import NUMBERS
from deidentifier.vrs import encode_values, pad

WORD = "REMOVED"
_DUMMIES = {
    "AE": WORD,
    "AS": "001Y",
    "CS": WORD,
    "DA": "19000101",
    "DS": "0",
    "DT": "19000101000000",
    "IS": "0",
    "LO": WORD,
    "LT": WORD,
    "PN": WORD,
    "SH": WORD,
    "ST": WORD,
    "TM": "000000",
    "UC": WORD,
    "UR": "urn:removed",
    "UT": WORD,
}


def dummy_value(vr: str, length: int, order: str) -> bytes:
    """Return the bytes of a dummy.

    Parameters
    ----------
    vr
        Of the element; not UI, which gets a UID of its own.
    length
        Of the original value, in bytes: binary dummies are zeros of that length.
    order
        ``<`` or ``>``, as :mod:`struct` writes byte orders.
    """
    if vr in _DUMMIES:
        return pad(_DUMMIES[vr].encode(), vr)
    if vr in NUMBERS and vr != "AT":
        return encode_values(vr, ["0"], (), order)
    return bytes(length + length % 2)
