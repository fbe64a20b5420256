"""Marks that bench/leak_probe.py looks for: unique, legal for a VR, each in one place of one file."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset

TEXT = {"AE": 16, "LO": 64, "LT": 200, "PN": 64, "SH": 16, "ST": 200, "UC": 200, "UR": 60, "UT": 200, "CS": 16}
UID_ROOT = "1.3.6.1.4.1.99999."


@dataclass
class Probe:
    """A file, its marks by place, and the values that research needs, by path."""

    name: str
    sop_class: str
    dataset: Dataset
    kept: dict[str, Any]
    marks: dict[str, bytes] = field(default_factory=dict)
    data: bytes = b""


class Marker:
    """Makes unique marks that are legal for a VR."""

    def __init__(self, probe: Probe, start: int) -> None:
        self._probe = probe
        self._numbers = itertools.count(start)

    def mark(self, place: str, vr: str) -> Any:
        """Return a value with a mark, and remember where it is put; None where the VR has no room for one."""
        number = next(self._numbers)
        text = f"QZ{number:06d}XW"
        if vr == "UI":
            return self._remember(place, f"{UID_ROOT}{number}")
        if vr in ("OB", "UN", "OW"):
            return self._remember(place, text).encode() + b"  "
        if vr == "PN":
            return self._remember(place, f"{text}^Given")[:-6] + "^Given"
        if vr in TEXT:
            return self._remember(place, text)
        return None

    def date(self, place: str, vr: str) -> str:
        """Return a date that stands nowhere else in the file."""
        number = next(self._numbers)
        day = f"{1931 + number % 60}{number % 12 + 1:02}{number % 28 + 1:02}"
        return self._remember(place, day) + ("101112" if vr == "DT" else "")

    def _remember(self, place: str, text: str) -> str:
        self._probe.marks[place] = text.removesuffix("^Given").encode()
        return text
