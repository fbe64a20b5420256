"""The leak check: identifying values of the original are looked for in the bytes of the result.

::

    find_leaks(original, collected, result, …)
        all values at once, in every byte outside the pixels ──► nothing found: done
        something found ──► where is it, and is it there on purpose? ──► Leak(path, rule, kind), …

Values of six bytes and more are searched as they are written, in upper and lower case, in UTF-16 and in base64; shorter
ones as whole words of text. Dates are compared by the path of their element: in daily series a date that was moved
rightly equals another original one. Original UIDs are searched where this instance had them replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from common.dicom_head import Head
from common.dicom_scan import DEFLATED, Scan, scan
from common.dicom_text import strip_padding
from common.errors import QuarantineError
from deidentifier.file_meta import DicomFile
from deidentifier.leak_patterns import Patterns, beginnings_elsewhere, forms_elsewhere, patterns_of
from deidentifier.leak_places import Leaf, holds_word, leaves_of, stands_by_chance
from deidentifier.profiles.identifying import Collected

_DATES = frozenset(("DA", "DT"))
_SHOWN = 5
_LAST = 8
_BEGINNING = 12


@dataclass(frozen=True)
class Leak:
    """An identifying value in the result: where, what decided about the element there, and the class of value."""

    path: str
    rule: str
    kind: str

    def as_record(self) -> dict[str, str]:
        """Return it as plain data: never the value."""
        return {"path": self.path, "rule": self.rule, "class": self.kind}


class LeakError(QuarantineError):
    """An identifying value of the original is in the result."""

    def __init__(self, leaks: Iterable[Leak], result: bytes | None = None) -> None:
        found = tuple(leaks)
        self.result = result
        self.findings = tuple(leak.as_record() for leak in found)
        places = ", ".join(f"{leak.kind} in {leak.path}" for leak in found[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        super().__init__(f"identifying values of the original are in the result: {places}{more}")


@dataclass(frozen=True)
class Expectation:
    """What the result of an instance may hold of its original.

    Attributes
    ----------
    uids
        Original UIDs that were replaced.
    dates
        Whether every date must have changed.
    on_purpose
        Tells whether a rule keeps an element, by the heads of its path.
    rule
        Returns what decided about the element at a path.
    """

    uids: frozenset[bytes]
    dates: bool
    on_purpose: Callable[[tuple[Head, ...]], bool]
    rule: Callable[[str], str]


def find_leaks(original: Scan, collected: Collected, result: DicomFile, expected: Expectation) -> list[Leak]:
    """Return the identifying values of an original that stand in a result.

    Parameters
    ----------
    collected
        What was collected of the original.
    result
        The file; a deflated one is inflated first.
    expected
        What must have changed, and what stays on purpose.
    """
    patterns = patterns_of(collected.identity)
    where = _Where(original, result)
    suspects = list(_suspects(patterns, where, expected.uids))
    dates = expected.dates and _same_dates(original, collected.dates, where)
    if not suspects and not dates:
        return []
    return list(dict.fromkeys(_confirm(original, where, suspects, expected, dates)))


class _Where:
    """The bytes of a result that are searched: all but the pixels."""

    def __init__(self, original: Scan, file: DicomFile) -> None:
        self._file = file
        self._scan: Scan | None = None
        self.same_syntax = True
        if file.pixels:
            self.start = len(file.before)
            self.end = self.start + len(file.pixels)
            self.searched = file.before + file.after
        else:
            self._find_pixels(original, file.data)

    def _find_pixels(self, original: Scan, result: bytes) -> None:
        """Find the pixels in a result in one part: they may stand there as they came."""
        self.start = self.end = len(result)
        pixels = original.pixel_data
        if pixels is not None:
            header = original.data[pixels[1] : pixels[2]]
            self.start = result.find(header)
            self.end = self.start + pixels[3] - pixels[1]
        if self.start < 0 or self.end > len(result) or original.transfer_syntax == DEFLATED:
            result = self._find_anew(original)
        self.searched = result[: self.start] + result[self.end :]

    def _find_anew(self, original: Scan) -> bytes:
        """Look where the pixels are in a result that was transcoded, masked or deflated."""
        found = self.scan
        self.same_syntax = found.transfer_syntax == original.transfer_syntax != DEFLATED
        pixels = found.pixel_data
        self.start, self.end = (pixels[1], pixels[3]) if pixels else (len(found.data), len(found.data))
        return found.data

    @property
    def scan(self) -> Scan:
        """The result, scanned."""
        if self._scan is None:
            self._scan = scan(self._file.data)
        return self._scan

    def offset(self, place: int) -> int:
        """Return the offset in the result of a place in what is searched."""
        return place if place < self.start else place + self.end - self.start


Suspect = tuple[str, int, str]
"""Class of value, offset in the result (-1: as a word, wherever), folded text of a short value."""


def _suspects(patterns: Patterns, where: _Where, uids: frozenset[bytes]) -> Iterator[Suspect]:
    searched = where.searched
    for number, start, end in patterns.search(searched.lower()):
        pattern = patterns.found[number]
        if pattern.word:
            if not (searched[start - 1 : start].isalnum() or searched[end : end + 1].isalnum()):
                yield pattern.kind, -1, pattern.word
        elif not pattern.exact or searched[start:end] == pattern.exact:
            yield pattern.kind, where.offset(start), pattern.text
    for uid, place in _uids_in(searched, uids):
        yield "UID", where.offset(place), uid.decode("latin-1")


def _uids_in(searched: bytes, uids: frozenset[bytes]) -> Iterator[tuple[bytes, int]]:
    # Most UIDs of an instance begin alike: where the beginning is not, none of them is.
    for beginning in {uid[:_BEGINNING] for uid in uids}:
        if beginning in searched:
            yield from ((uid, searched.find(uid)) for uid in uids if uid in searched)
        for form in beginnings_elsewhere(beginning):
            if form in searched:
                yield from (
                    (uid, searched.find(each)) for uid in uids for each in forms_elsewhere(uid) if each in searched
                )


def _same_dates(original: Scan, dates: Sequence[tuple[int, int]], where: _Where) -> bool:
    """Tell whether an element with a date may stand in the result as it did in the original."""
    data, searched = original.data, where.searched
    if not dates or not where.same_syntax:
        return bool(dates)
    # Most dates of an instance are one and the same: where its last digits are not, none of the elements is.
    if not any(last in searched for last in {data[end - _LAST : end] for _, end in dates}):
        return False
    return any(data[start:end] in searched for start, end in dates)


# ------------------------------------------------------------------------------------------------------- confirming
def _confirm(
    original: Scan, where: _Where, suspects: list[Suspect], expected: Expectation, dates: bool
) -> Iterator[Leak]:
    """Find the elements, and leave out what is there on purpose or by chance."""
    found = where.scan
    leaves = [*(leaves_of(found.meta) if found.meta else ()), *leaves_of(found.dataset)]
    # The file meta information of a deflated file has offsets of its own.
    placed = [leaf for leaf in leaves if leaf.dataset.scan is found]

    def leak(leaf: Leaf, kind: str) -> Iterator[Leak]:
        if not expected.on_purpose(leaf.heads):
            yield Leak(leaf.path, expected.rule(leaf.path), kind)

    for kind, offset, text in suspects:
        if offset < 0:
            for leaf in leaves:
                if holds_word(leaf, text):
                    yield from leak(leaf, kind)
            continue
        at = next((leaf for leaf in placed if leaf.start <= offset < leaf.end), None)
        if at is None:
            yield Leak("outside the data set", "", kind)
        elif not stands_by_chance(at, text, offset):
            yield from leak(at, kind)
    if dates:
        originals = {leaf.path: strip_padding(leaf.raw) for leaf in leaves_of(original.dataset)}
        for leaf in leaves:
            if leaf.heads[-1].vr in _DATES and leaf.raw and originals.get(leaf.path) == strip_padding(leaf.raw):
                yield from leak(leaf, "date")
