"""Content items of structured reports by their concept (PS3.15 table E.3.4-1)."""

from __future__ import annotations

import csv
from collections.abc import Collection
from functools import cache
from pathlib import Path

from common.dicom_dataset import Item
from common.dicom_text import strip_padding

_VALUE_TYPE, _CONCEPT, _CODE, _SCHEME = 0x0040A040, 0x0040A043, 0x00080100, 0x00080102
_COLUMNS = (
    "RetainUIDs",
    "RetainDeviceIdentity",
    "RetainInstitutionIdentity",
    "RetainPatientCharacteristics",
    "RetainLongitudinalFullDates",
    "RetainLongitudinalModifiedDates",
    "CleanDescriptors",
)


@cache
def read_concepts() -> dict[tuple[str, str, str], tuple[str, dict[str, str]]]:
    """Read table E.3.4-1: (scheme, code, value type) to the basic action, and the actions under options."""
    with (Path(__file__).parent / "concepts.csv").open(newline="") as stream:
        stream.readline()
        return {
            (row["Scheme"], row["Code"], row["ValueType"]): (
                row["Basic"],
                {name: row[name] for name in _COLUMNS if row[name]},
            )
            for row in csv.DictReader(stream)
        }


class Content:
    """What becomes of content items under some options."""

    def __init__(self, options: Collection[str]) -> None:
        self._options = options
        self._known: dict[tuple[str, str, str], str | None] = {}

    def mode(self, item: Item) -> str | None:
        """Return how the values of an item are treated: ``""``, ``clean`` or ``dummy``; None where the item goes."""
        key = (*_concept(item), _text(item, _VALUE_TYPE))
        if key not in self._known:
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[key] = self._mode(key)
        return self._known[key]

    def _mode(self, key: tuple[str, str, str]) -> str | None:
        basic, by_option = read_concepts().get(key, ("", {}))
        codes = {by_option[name] for name in self._options if name in by_option}
        code = next((code for code in ("C", "K") if code in codes), basic)
        if code == "C":
            return "clean"
        if code == "K" or (not code and key[2] != "PNAME"):
            return ""
        # Where a dummy may stand in its place, the item stays, so that references by position hold.
        return "dummy" if "D" in code or not code else None


def _concept(item: Item) -> tuple[str, str]:
    element = item.find(_CONCEPT)
    names = item.items(element) if element is not None and element[0].vr == "SQ" else []
    return (_text(names[0], _SCHEME), _text(names[0], _CODE)) if names else ("", "")


def _text(item: Item, tag: int) -> str:
    element = item.find(tag)
    return strip_padding(item.raw(element)).decode("latin-1").strip() if element is not None else ""
