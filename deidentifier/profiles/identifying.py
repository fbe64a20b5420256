"""The identifying values of an original: found once for each instance, worked out once for all that share them.

Names, identifiers, addresses, telephone numbers, institutions and the birth date are collected from every depth. What
follows from them (:class:`Identity`) serves two: cleaning text removes their words, the leak check looks for them.
Instances of a study mostly share the same values, so it is kept by them.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from pydicom._dicom_dict import DicomDictionary

from common.dicom_scan import DataSet, Scan
from common.dicom_text import decode_text, strip_padding
from common.errors import InvalidDicomError
from deidentifier.profiles.clean_text import clean_text, default_vocabulary, fold, header_terms
from deidentifier.profiles.tables import read_rows

_KEPT = 64
_REMEMBERED = 20_000
_TEXT = frozenset(("AE", "LO", "LT", "SH", "ST", "UC", "UT"))
_IDENTIFIER = re.compile(r".*(ID|IDs|IDsTrial|Number|NumberTrial|Identifier|Locator|AETitle)")
_ADDRESS = re.compile(r".*(Address|AddressTrial|CurrentPatientLocation|Residence)")
_PHONE = re.compile(r".*(Telephone|Telecom|Phone).*")
_PLACE = re.compile(r".*(InstitutionName|DepartmentName|StationName|SiteName|CenterName|TreatmentMachineName)")
# What looks like an identifier wherever it stands: long numbers, dates, UIDs, mail addresses, telephone numbers.
_SUSPICIOUS = re.compile(
    r"\d{5,}|\d{1,4}[-./]\d{1,2}[-./]\d{2,4}|\S+@\S+|\+?\d[\d\s/()-]{6,}\d|\d+(?:\.\d+){4,}|[A-Za-z]{3,}\d{4,}",
    re.ASCII,
)


@cache
def kinds_of_values() -> dict[int, str]:
    """Map tags to the kind of identifying value that they hold."""
    kinds = {tag: "name" for tag, entry in DicomDictionary.items() if entry[0] == "PN"}
    for row in read_rows():
        tag = int(row.tag.replace("X", "0"), 16)
        if not row.keyword or DicomDictionary[tag][0].split(" or ")[0] not in _TEXT:
            continue
        for kind, pattern in (("place", _PLACE), ("address", _ADDRESS), ("phone", _PHONE), ("identifier", _IDENTIFIER)):
            if pattern.fullmatch(row.keyword):
                kinds[tag] = kind
                break
    kinds[0x00100030] = "birth date"
    return kinds


Value = tuple[str, bytes, tuple[str, ...]]
"""A kind, the bytes of a value, and the character sets in force."""


def collect(scan: Scan) -> tuple[Value, ...]:
    """Return the identifying values of an original, at every depth."""
    found: dict[Value, None] = {}
    _collect(scan.dataset, kinds_of_values(), found)
    return tuple(found)


def _collect(dataset: DataSet, kinds: dict[int, str], found: dict[Value, None]) -> None:
    data = dataset.scan.data
    for element in dataset.elements:
        head, _, value, end = element
        if head.vr == "SQ":
            for item in _items(dataset, element):
                _collect(item, kinds, found)
        elif value != end and (kind := kinds.get(head.tag)) is not None:
            found[kind, strip_padding(data[value:end]), dataset.encodings] = None


def _items(dataset: DataSet, element: tuple) -> list:  # type: ignore[type-arg]  # an element, its items
    try:
        return dataset.items(element)
    except InvalidDicomError:
        return []


@dataclass(frozen=True)
class Term:
    """An identifying value as text, with its kind."""

    kind: str
    text: str


class Identity:
    """What follows from the identifying values of an instance.

    Attributes
    ----------
    values
        The values as text.
    words
        Their words, folded: none of them stays in a text that is cleaned.
    """

    def __init__(self, values: tuple[Value, ...]) -> None:
        self.values = tuple(dict.fromkeys(_terms(values)))
        vocabulary = default_vocabulary()
        names = header_terms(term.text for term in self.values if term.kind == "name")
        others = header_terms(term.text for term in self.values if term.kind != "name")
        # A hospital called Head Center does not make the head a secret.
        self.words = names | frozenset(word for word in others if word not in vocabulary)
        self._cleaned: dict[str, str] = {}
        self._technical: dict[str, str] = {}

    def clean(self, text: str) -> str:
        """Return a description with its harmless words alone."""
        found = self._cleaned.get(text)
        if found is None:
            found = _remember(self._cleaned, text, clean_text(text, terms=self.words))
        return found

    def strip(self, text: str) -> str:
        """Return a technical text without what stands in the header and what looks like an identifier."""
        found = self._technical.get(text)
        if found is None:
            found = _remember(self._technical, text, self._strip(text))
        return found

    def _strip(self, text: str) -> str:
        if not _SUSPICIOUS.search(text) and not self.names(text):
            return text
        return self.clean(_SUSPICIOUS.sub(" ", text))

    def names(self, text: str) -> bool:
        """Tell whether a text holds a word of the identifying values."""
        folded = fold(text)
        words = re.findall(r"\w+", folded.replace("_", " "))
        joined = "".join(words)
        return any(word in self.words for word in words) or any(len(word) > 3 and word in joined for word in self.words)


def _remember(memory: dict[str, str], key: str, value: str) -> str:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value
    return value


def _terms(values: tuple[Value, ...]) -> Iterator[Term]:
    for kind, raw, encodings in values:
        for text in decode_text(raw, encodings).split("\\"):
            if text.strip(" \0"):
                yield Term(kind, text.strip(" \0"))


class Identities:
    """The identities that a process has seen lately."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Value, ...], Identity] = OrderedDict()

    def identity(self, scan: Scan) -> Identity:
        """Return the identity of an original."""
        values = collect(scan)
        found = self._known.get(values)
        if found is None:
            found = self._known[values] = Identity(values)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(values)
        return found
