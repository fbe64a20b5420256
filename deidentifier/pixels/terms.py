"""Which of the text found is hidden: all of it, but what a rule keeps; or only what resembles the header's values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date

from pydicom.dataset import Dataset

_CONFUSED = str.maketrans("oilszbgq", "01152899")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
#: Besides every person's name and every date.
_IDENTIFYING = (
    "PatientID",
    "OtherPatientIDs",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "AccessionNumber",
    "StudyID",
    "AdmissionID",
    "InstitutionName",
    "InstitutionAddress",
)
_SHORTEST = 3
_PER_EDIT = 4
#: A single character does not identify anybody, and speckle looks like one.
_FEWEST_CHARACTERS = 2


def is_text(text: str) -> bool:
    """Tell whether there are letters or digits enough to say anything."""
    return sum(character.isalnum() for character in text) >= _FEWEST_CHARACTERS


def is_kept(text: str, keep: Iterable[re.Pattern[str]]) -> bool:
    """Tell whether a pattern matches the whole text, with or without its white space."""
    spaced = " ".join(text.split())
    return any(pattern.fullmatch(spaced) or pattern.fullmatch(spaced.replace(" ", "")) for pattern in keep)


def resembles(text: str, terms: Iterable[str]) -> bool:
    """Tell whether the text holds one of the terms or a piece of it, one misread character in four allowed for."""
    folded = fold(text)
    words = [folded, *(fold(word) for word in text.split())]
    return any(_alike(term, word) for term in terms for word in dict.fromkeys(words) if len(word) >= _SHORTEST)


def _alike(one: str, other: str) -> bool:
    """Tell whether two texts, or the shorter one and a piece of the longer one, differ by few edits."""
    from rapidfuzz.distance import Levenshtein

    shorter, longer = sorted((one, other), key=len)
    allowed = len(shorter) // _PER_EDIT
    if Levenshtein.distance(one, other, score_cutoff=allowed) <= allowed:
        return True
    pieces = (longer[at : at + len(shorter)] for at in range(len(longer) - len(shorter) + 1))
    return any(Levenshtein.distance(shorter, piece, score_cutoff=allowed) <= allowed for piece in pieces)


def fold(text: str) -> str:
    """Return letters and digits alone, in one case, with those characters made equal that readers confuse."""
    return "".join(character for character in text.casefold() if character.isalnum()).translate(_CONFUSED)


def header_terms(header: Dataset) -> frozenset[str]:
    """Return the instance's own identifying values, folded; dates in the orders and forms people write them."""
    raw = (term for element in header for term in _terms_of(element.keyword, element.VR, _values(element.value)))
    return frozenset(folded for folded in map(fold, raw) if len(folded) >= _SHORTEST)


def _values(value: object) -> list[str]:
    if value is None or isinstance(value, bytes):
        return []
    if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue":
        return [str(one) for one in value]  # type: ignore[attr-defined]
    return [str(value)]


def _terms_of(keyword: str, vr: str, values: list[str]) -> Iterator[str]:
    for value in values:
        if vr == "PN":
            yield from re.split(r"[\^=\s]+", value)
        elif vr in ("DA", "DT"):
            yield from _date_forms(value)
        elif keyword in _IDENTIFYING:
            yield value
            yield from value.split()


def _date_forms(value: str) -> Iterator[str]:
    """Yield a DICOM date as digits in three orders, with two digits of the year, and with the month's name."""
    try:
        day = date(int(value[:4]), int(value[4:6]), int(value[6:8]))
    except ValueError:
        return
    for form in ("%Y%m%d", "%d%m%Y", "%m%d%Y", "%d%m%y", "%m%d%y", "%y%m%d"):
        yield day.strftime(form)
    month = _MONTHS[day.month - 1]
    yield from (f"{day.day:02}{month}{day.year}", f"{month}{day.day:02}{day.year}", f"{day.year}{month}{day.day:02}")
