"""The Basic Application Level Confidentiality Profile and its options as look-ups (PS3.15 Annex E).

:class:`ProfileTable` answers what to do with an element, from its tag, the options in force, and the type that the
attribute has in the instance's IOD. The tables are the files beside this module, made by ``build_tables.py``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

from common.tags import TagPath, is_private, keyword_of
from deidentifier.profiles.declared import ALL_OF_BLOCK, Declared

_FOLDER = Path(__file__).parent
# Options that are columns of table E.1-1; CleanPixelData has no column, its rules are in PS3.15 E.3.1.
COLUMNS = (
    "RetainSafePrivate",
    "RetainUIDs",
    "RetainDeviceIdentity",
    "RetainInstitutionIdentity",
    "RetainPatientCharacteristics",
    "RetainLongitudinalFullDates",
    "RetainLongitudinalModifiedDates",
    "CleanDescriptors",
    "CleanStructuredContent",
    "CleanGraphics",
)
OPTIONS = (*COLUMNS, "CleanPixelData")
_DATES = frozenset({"DA", "DT", "TM"})


class Action(Enum):
    """What happens to an element."""

    KEEP = "kept"
    REMOVE = "removed"
    EMPTY = "emptied"
    DUMMY = "replaced by a dummy value"
    UID = "replaced by a new UID"
    CLEAN = "cleaned"
    SHIFT = "moved in time"


@dataclass(frozen=True)
class Row:
    """One attribute of table E.1-1: the basic profile's code, and that of each option that names it."""

    tag: str
    keyword: str
    basic: str
    options: Mapping[str, str]

    def code(self, options: Collection[str]) -> str:
        """Return the code in force: ``C`` where any option in force cleans, else ``K`` where one keeps, else basic.

        Cleaning wins over keeping: between two options the cautious one decides.
        """
        codes = {self.options[name] for name in options if self.options.get(name)}
        return next((code for code in ("C", "K") if code in codes), self.basic)


@cache
def read_rows() -> tuple[Row, ...]:
    """Read table E.1-1."""
    with (_FOLDER / "confidentiality.csv").open(newline="") as stream:
        stream.readline()
        return tuple(
            Row(row["Tag"].upper(), row["Keyword"], row["Basic"], {name: row[name] for name in COLUMNS if row[name]})
            for row in csv.DictReader(stream)
            if set(row["Tag"]) <= set("0123456789ABCDEFXabcdefx")
        )


@cache
def read_safe_private() -> Mapping[tuple[str, int, int], str]:
    """Read table E.3.10-1: (private creator, group, offset in the block) to VR."""
    with (_FOLDER / "safe-private.csv").open(newline="") as stream:
        stream.readline()
        return {
            (row["Creator"].strip(), int(row["Group"], 16), int(row["Offset"], 16)): row["VR"]
            for row in csv.DictReader(stream)
        }


class AttributeTypes:
    """Types of the profile's attributes by IOD (PS3.3), where an IOD is known by its SOP class."""

    def __init__(
        self, sop_classes: Mapping[str, str], iods: Mapping[str, list[str]], modules: Mapping[str, dict[str, str]]
    ) -> None:
        self._sop_classes, self._iods, self._modules = sop_classes, iods, modules
        self._merged: dict[str, dict[str, str]] = {}

    def knows(self, sop_class: str) -> bool:
        """Tell whether a SOP class is one of the standard's storage classes."""
        return sop_class in self._sop_classes

    def types_of(self, sop_class: str) -> Mapping[str, str]:
        """Return the types of an IOD by path of keywords; empty where the class is not known."""
        iod = self._sop_classes.get(sop_class)
        return {} if iod is None else self._types(iod)

    def iod(self, sop_class: str) -> str | None:
        """Return the IOD of a SOP class; None where it is no storage class of the standard."""
        return self._sop_classes.get(sop_class)

    def type_of(self, sop_class: str, path: TagPath) -> str:
        """Return ``1``, ``2`` or ``3``: conditional types count as present; ``3`` where the IOD lacks the attribute."""
        iod = self._sop_classes.get(sop_class)
        if iod is None:
            return "3"
        found = self._types(iod).get(".".join(keyword_of(tag) for tag in path), "3")
        return found[0]

    def _types(self, iod: str) -> dict[str, str]:
        if iod not in self._merged:
            merged: dict[str, str] = {}
            for module in self._iods.get(iod, []):
                for path, kind in self._modules[module].items():
                    # The strictest of several modules' types, so that the result stays valid in each.
                    merged[path] = min(merged.get(path, "3"), kind)
            self._merged[iod] = merged
        return self._merged[iod]


@cache
def attribute_types() -> AttributeTypes:
    """Read the types of attributes."""
    table = json.loads((_FOLDER / "attribute-types.json").read_text())
    return AttributeTypes(table["sop_classes"], table["iods"], table["modules"])


@cache
def _characteristics() -> frozenset[str]:
    return frozenset(row.tag for row in read_rows() if "RetainPatientCharacteristics" in row.options)


class ProfileTable:
    """The profile with some options: what it does with an element.

    Parameters
    ----------
    options
        Names of :data:`OPTIONS`.
    declared
        Private elements that the sender declares to be safe, where it is trusted.
    """

    def __init__(self, options: Collection[str], declared: Declared = frozenset()) -> None:
        self.options = frozenset(options)
        self._declared = declared
        self.codes: dict[int, str] = {}
        self._masks: list[tuple[int, int, str]] = []
        for row in read_rows():
            code = row.code(self.options)
            if "X" in row.tag:
                mask = int("".join("0" if digit == "X" else "F" for digit in row.tag), 16)
                self._masks.append((mask, int(row.tag.replace("X", "0"), 16), code))
            else:
                self.codes[int(row.tag, 16)] = code

    def code(self, tag: int) -> str | None:
        """Return the code for a standard tag; None where the profile leaves the element as it is."""
        if tag in self.codes:
            return self.codes[tag]
        return next((code for mask, value, code in self._masks if tag & mask == value), None)

    def keeps_characteristic(self, tag: int) -> bool:
        """Tell whether an element stays as a characteristic of the patient: a description, not an identity."""
        return f"{tag:08X}" in _characteristics()

    def action(self, tag: int, vr: str, kind: str) -> Action:
        """Decide about a standard element.

        Parameters
        ----------
        tag, vr
            Of the element.
        kind
            Type of the attribute in this IOD: ``1``, ``2`` or ``3``.
        """
        code = self.code(tag)
        if code is None or code == "K":
            return Action.KEEP
        if code == "C":
            return self._clean(vr)
        return resolve(code, kind)

    def keeps_private(self, creator: str, tag: int) -> bool:
        """Tell whether a private element is known or declared to be safe, and the option is in force."""
        if "RetainSafePrivate" not in self.options or not is_private(tag):
            return False
        name, group, number = creator.strip(), tag >> 16, tag & 0xFF
        if (name, group, number) in read_safe_private():
            return True
        return not self._declared.isdisjoint(((name, group, number), (name, group, ALL_OF_BLOCK)))

    def _clean(self, vr: str) -> Action:
        if vr in _DATES and "RetainLongitudinalModifiedDates" in self.options:
            return Action.SHIFT
        return Action.CLEAN


def resolve(code: str, kind: str) -> Action:
    """Choose the first action of a code that the attribute's type allows (PS3.15 E.1.1, table E.1-1a).

    ``X`` alone means removal; where that would break the IOD, the element is emptied (type 2) or given a dummy value
    (type 1), which tells no more. ``Z`` allows a dummy, and type 1 demands one. ``U`` beside ``X`` stands for sequences
    of references: they stay, and the UIDs inside are replaced.
    """
    if kind == "3" and "X" in code:
        return Action.REMOVE
    if code == "U":
        return Action.UID
    if code == "D":
        return Action.DUMMY
    if kind == "1":
        return Action.KEEP if code == "X/Z/U" else Action.DUMMY
    if kind == "2":
        return Action.EMPTY if code != "X/D" else Action.DUMMY
    # Type 3 and no removal in the code: Z, Z/D.
    return Action.EMPTY
