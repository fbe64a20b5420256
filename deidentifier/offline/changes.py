"""What de-identification changed in a file, element by element, with values: for a person's own eyes.

pydicom reads both sides: it is independent of what wrote the result.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.tags import format_tag, keyword_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_LONGEST = 120
_BINARY = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}
# What pydicom raises for values that it cannot decode.
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, NotImplementedError, OverflowError, EOFError)


@dataclass(frozen=True)
class Change:
    """An element that differs: its path with item numbers, its VR, and its values, None where it is absent."""

    path: str
    vr: str
    before: tuple[str, ...] | None
    after: tuple[str, ...] | None

    def __str__(self) -> str:
        return f"{self.path} {self.vr}: {_shown(self.before)} -> {_shown(self.after)}"


def compare(before: bytes, after: bytes) -> list[Change]:
    """Return the elements of the data set that differ between two files, in the order of the original.

    Group 0002 is left out: it is always written afresh.
    """
    from pydicom import config  # only who wants to see values waits for its import

    with config.disable_value_validation():
        old, new = (dict(_flatten(_read(data))) for data in (before, after))
    paths = [*old, *(path for path in new if path not in old)]
    return [
        Change(path, (old.get(path) or new[path])[0], _values(old, path), _values(new, path))
        for path in paths
        if _values(old, path) != _values(new, path)
    ]


def _values(elements: dict[str, tuple[str, tuple[str, ...]]], path: str) -> tuple[str, ...] | None:
    return elements[path][1] if path in elements else None


def _read(data: bytes) -> Dataset:
    import pydicom

    return pydicom.dcmread(io.BytesIO(data), force=True)


def _flatten(dataset: Dataset, prefix: str = "") -> Iterator[tuple[str, tuple[str, tuple[str, ...]]]]:
    """Yield each element's path, VR and values; a sequence has no values, its items' elements follow it."""
    for tag in sorted(dataset.keys()):
        path = prefix + (keyword_of(tag) or format_tag(tag))
        try:
            element = dataset[tag]
        except _UNREADABLE:
            yield path, ("UN", ("(unreadable)",))
            continue
        if element.VR == "SQ":
            yield path, ("SQ", (f"({len(element.value)} items)",))
            for number, item in enumerate(element.value):
                yield from _flatten(item, f"{path}[{number}].")
        else:
            yield path, (element.VR, _texts(element))


def _texts(element: Any) -> tuple[str, ...]:
    value = element.value
    if value is None or value == "" or value == b"":
        return ()
    if isinstance(value, bytes):
        return (f"({len(value)} bytes, CRC {_crc(value)})",) if element.VR in _BINARY else (repr(value),)
    values = value if element.VM > 1 else [value]
    return tuple(str(each) for each in values)


def _crc(data: bytes) -> str:
    return f"{zlib.crc32(data):08x}"


def _shown(values: tuple[str, ...] | None) -> str:
    if values is None:
        return "(absent)"
    text = "\\".join(values)
    return f"{text[:_LONGEST]}…" if len(text) > _LONGEST else text or "(empty)"


def uid_pairs(changes: list[Change]) -> list[tuple[str, str]]:
    """Return the original and new value of every UID that was replaced."""
    return _pairs(change for change in changes if change.vr == "UI")


def patient_pairs(changes: list[Change]) -> list[tuple[str, str]]:
    """Return the original and new value of the Patient ID, wherever it stands."""
    return _pairs(change for change in changes if change.path.rpartition(".")[2] == "PatientID")


def _pairs(changes: Iterator[Change]) -> list[tuple[str, str]]:
    return [
        (old, new)
        for change in changes
        if change.before and change.after and len(change.before) == len(change.after)
        for old, new in zip(change.before, change.after, strict=True)
        if old and new and old != new
    ]
