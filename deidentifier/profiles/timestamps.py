"""Points in time in bytes: the date options of the profile are about them, too (PS3.15 table E.1-1)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from deidentifier.profiles.treatments import REMOVED, Treatment
from deidentifier.transformations.shift_date_time import SECONDS_PER_DAY, ShiftDateTime

if TYPE_CHECKING:
    from deidentifier.element import ElementInWork
    from deidentifier.profiles.place import Profile

_FRAME_ORIGIN = 0x00340007
_CERTIFIED = 0x04000310
TAGS = frozenset((_FRAME_ORIGIN, _CERTIFIED))
"""FrameOriginTimestamp and CertifiedTimestamp, both OB."""

# IEEE 1588: 48 bits of seconds since 1970 (TAI), 32 of nanoseconds, big-endian whatever the transfer syntax.
_PTP = struct.Struct(">HII")
_NANOSECONDS = 1_000_000_000


def treat(profile: Profile, tag: int) -> Treatment:
    """Return what is done to a timestamp in bytes."""
    if tag == _CERTIFIED:
        # What a third party signed cannot be moved, and its certificate names the site. The signature goes anyway.
        return REMOVED
    if "RetainLongitudinalModifiedDates" in profile.options:
        return Treatment(
            "moved in time, a dummy value where illegal", act=lambda element: _move(element, profile.shift)
        )
    if "RetainLongitudinalFullDates" in profile.options:
        return Treatment("kept where legal", act=_replace, unless=is_legal)
    return Treatment("dummy value", act=_replace)


def is_legal(raw: bytes) -> bool:
    """Tell whether bytes are a timestamp of IEEE 1588 (PS3.3 C.7.6.27.1.1), and nothing else in its place."""
    if len(raw) != _PTP.size:
        return False
    high, _, nanoseconds = _PTP.unpack(raw)
    return bool(high == 0 and nanoseconds < _NANOSECONDS)  # seconds of 32 bits: until 2106


def _move(element: ElementInWork, shift: ShiftDateTime) -> None:
    """Move a timestamp by the days by which all dates of the patient move; frames keep their distances."""
    if element.is_empty:
        return
    if not is_legal(element.raw):
        _replace(element)
        return
    _, seconds, nanoseconds = _PTP.unpack(element.raw)
    moved = seconds + shift.offset(element) * SECONDS_PER_DAY
    if not 0 <= moved < 1 << 32:
        _replace(element)
    elif moved != seconds:
        element.raw = _PTP.pack(0, moved, nanoseconds)
        element.changed = True


def _replace(element: ElementInWork) -> None:
    """Write the beginning of the scale, whatever the length was."""
    element.raw = bytes(_PTP.size)
    element.changed = True
