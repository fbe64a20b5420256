"""The identifying values of an original: found once for each instance, worked out once for all that share them.

Names, identifiers, addresses, telephone numbers, institutions and the birth date are collected from every depth. What
follows from them (:class:`Identity`) serves two: cleaning text removes their words, the leak check looks for them.
Instances of a study mostly share the same values, so it is kept by them.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from common.dicom_dataset import DataSet, Element, Item
from common.dicom_dictionary import DicomDictionary
from common.dicom_head import Head, Syntax
from common.dicom_scan import Scan
from common.errors import InvalidDicomError
from deidentifier.memory import LONGEST_SEQUENCE
from deidentifier.profiles.clean_text import default_vocabulary
from deidentifier.profiles.identity import Identity, Value
from deidentifier.profiles.tables import read_rows

if TYPE_CHECKING:
    from deidentifier.profiles.named_entities import Recogniser

_KEPT = 32  # each takes about 1 MB
_PADDING = b" \0"
_REMEMBERED = 20_000
_SEQUENCES = 2_000
_TEXT = frozenset(("AE", "LO", "LT", "SH", "ST", "UC", "UT"))
_IDENTIFIER = re.compile(r".*(ID|IDs|IDsTrial|Number|NumberTrial|Identifier|Locator|AETitle)")
_ADDRESS = re.compile(r".*(Address|AddressTrial|CurrentPatientLocation|Residence)")
_PHONE = re.compile(r".*(Telephone|Telecom|Phone).*")
_PLACE = re.compile(r".*(InstitutionName|DepartmentName|SiteName|CenterName)")
_STATION = re.compile(r".*(StationName|TreatmentMachineName)")
_PATTERNS = (("place", _PLACE), ("station", _STATION), ("address", _ADDRESS), ("phone", _PHONE),
             ("identifier", _IDENTIFIER))  # fmt: skip


@cache
def kinds_of_values() -> dict[int, str]:
    """Map tags to the kind of identifying value that they hold."""
    kinds = {tag: "name" for tag, entry in DicomDictionary.items() if entry[0] == "PN"}
    for row in read_rows():
        tag = int(row.tag.replace("X", "0"), 16)
        if not row.keyword or DicomDictionary[tag][0].split(" or ")[0] not in _TEXT:
            continue
        for kind, pattern in _PATTERNS:
            if pattern.fullmatch(row.keyword):
                kinds[tag] = kind
                break
    kinds[0x00100030] = "birth date"
    kinds[0x00080070] = kinds[0x00081090] = "machine"  # Manufacturer, ManufacturerModelName: what a station is called
    return kinds


_Key = tuple[bytes, tuple[Value, ...], tuple[str, ...]]
"""The bytes of elements with identifying values, the values inside sequences, and the character sets in force."""


class _Interest(dict[Head, str]):
    """What the check needs of an element, by its head: a kind of value, ``date``, ``SQ``, or nothing."""

    def __missing__(self, head: Head) -> str:
        if len(self) > _REMEMBERED:
            self.clear()
        interest = kinds_of_values().get(head.tag, "")
        if head.vr == "SQ":
            interest = "SQ"
        elif head.vr in ("DA", "DT") and not interest:
            interest = "date"
        self[head] = interest
        return interest


_interest = _Interest()


def _collect(dataset: DataSet, found: dict[Value, None], dates: list[tuple[int, int]]) -> None:
    data, known, encodings = dataset.scan.data, _interest, dataset.encodings
    for element, interest in [(each, interest) for each in dataset.elements if (interest := known[each[0]])]:
        _, start, value, end = element
        if interest == "SQ":
            dates += _collect_sequence(dataset, element, found)
        elif value != end:
            if interest == "date":
                dates.append((start, end))
            else:
                found[interest, data[value:end].rstrip(_PADDING), encodings] = None


_Sequence = tuple[dict["Value", None], list[tuple[int, int]]]
_sequences: dict[tuple[bytes, Syntax, tuple[str, ...]], _Sequence] = {}


def _collect_sequence(dataset: DataSet, element: Element, found: dict[Value, None]) -> list[tuple[int, int]]:
    """Collect from a sequence: add its values, return where its elements with dates begin and end."""
    values, inside = _of_sequence(dataset, element)
    found.update(values)
    return [(element[1] + first, element[1] + last) for first, last in inside]


def _of_sequence(dataset: DataSet, element: Element) -> _Sequence:
    """Return the values of a sequence, and dates by their offsets in it; small ones come again in every instance."""
    _, start, _, end = element
    key = None
    if end - start <= LONGEST_SEQUENCE:
        key = (dataset.scan.data[start:end], dataset.syntax, dataset.encodings)
        if (known := _sequences.get(key)) is not None:
            return known
    values: dict[Value, None] = {}
    dates: list[tuple[int, int]] = []
    for item in _items(dataset, element):
        _collect(item, values, dates)
    collected = values, [(first - start, last - start) for first, last in dates]
    if key is not None:
        if len(_sequences) >= _SEQUENCES:
            _sequences.clear()
        _sequences[key] = collected
    return collected


def _items(dataset: DataSet, element: Element) -> list[Item]:
    try:
        return dataset.items(element)
    except InvalidDicomError:
        return []


@dataclass(frozen=True)
class Collected:
    """What was collected of an original: its identity, and where its elements with dates begin and end."""

    identity: Identity
    dates: list[tuple[int, int]]


class Identities:
    """The identities that a process has seen lately.

    Parameters
    ----------
    vocabulary
        Words that may stay beside those that come with the product.
    recogniser
        Finds named entities, whose words do not stay.
    """

    def __init__(self, vocabulary: frozenset[str] = frozenset(), recogniser: Recogniser | None = None) -> None:
        self.recogniser = recogniser
        self._vocabulary = default_vocabulary() | vocabulary
        self._known: OrderedDict[_Key, Identity] = OrderedDict()

    def collect(self, scan: Scan) -> Collected:
        """Return what identifies an original, at every depth."""
        data, known, dates = scan.data, _interest, list[tuple[int, int]]()
        # The bytes of the elements tell whether the values are known: what follows from these is worked out once.
        plain, inside = list[bytes](), dict[Value, None]()
        for element, interest in [(each, found) for each in scan.dataset.elements if (found := known[each[0]])]:
            _, start, value, end = element
            if interest == "SQ":
                dates += _collect_sequence(scan.dataset, element, inside)
            elif value != end and interest == "date":
                dates.append((start, end))
            elif value != end:
                plain.append(data[start:end])
        key = (b"".join(plain), tuple(inside), scan.dataset.encodings)
        return Collected(self._identity(key, scan.dataset), dates)

    def _identity(self, key: _Key, dataset: DataSet) -> Identity:
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
            return found
        values: dict[Value, None] = {}
        _collect(dataset, values, [])
        found = self._known[key] = Identity(tuple(values), self._vocabulary, self.recogniser)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return found
