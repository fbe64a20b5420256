"""What the profile does to a kind of element, and the actions that do it to one element's value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common.dicom_text import known_term, strip_padding
from deidentifier.dates import shift_da, shift_dt_days, shift_tm
from deidentifier.profiles.dummies import dummy_value
from deidentifier.transformations.randomize_uid import randomize_uids
from deidentifier.transformations.shift_date_time import ShiftDateTime
from deidentifier.vrs import pad

if TYPE_CHECKING:
    from common.dicom_dataset import Item
    from deidentifier.element import ElementInWork
    from deidentifier.profiles.place import Place

LEFT = "left by the rules, so the profile decides"
"""How the note begins of an element that rules are for, but did not change."""

Guard = Callable[[bytes], bool]
Act = Callable[["ElementInWork"], None]


@dataclass(frozen=True)
class Treatment:
    """What the profile does to a kind of element.

    Attributes
    ----------
    reason
        In a few words, for reports.
    removed, emptied
        It goes, or its value does.
    act
        Works on its value.
    unless
        The element stays untouched where this holds for the bytes of its value.
    place
        Of a sequence that stays: what is done in its items.
    choose
        Of a sequence whose items differ: the place of an item, None where the item goes.
    """

    reason: str
    removed: bool = False
    emptied: bool = False
    act: Act | None = None
    unless: Guard | None = None
    place: Place | None = field(default=None, repr=False)
    choose: Callable[[Item], Place | None] | None = field(default=None, repr=False)


REMOVED = Treatment("removed", removed=True)
EMPTIED = Treatment("emptied", emptied=True)


def replace_by_dummy(element: ElementInWork) -> None:
    """Give an element a dummy value; a UID its replacement."""
    if element.vr == "UI":
        randomize_uids(element)
    elif element.vr == "SQ":
        element.empty()
    else:
        element.raw = dummy_value(element.vr, len(element.raw), element.order)
        element.changed = True


def empty(element: ElementInWork) -> None:
    """Take the value away."""
    element.empty()


def clean_words(element: ElementInWork) -> None:
    """Keep the harmless words of a description."""
    clean = element.identity.clean
    element.replace_values(lambda value, _: clean(value))


def strip_identifiers(element: ElementInWork) -> None:
    """Take from a technical text what stands in the header and what looks like an identifier."""
    strip = element.identity.strip
    element.replace_values(lambda value, _: strip(value))


def clean_terms(element: ElementInWork) -> None:
    """Keep the coded strings that are like defined terms; of others, harmless words."""
    identity = element.identity

    def clean(value: str, _: ElementInWork) -> str:
        return value if value.isascii() and _CS.fullmatch(value.encode()) else identity.clean(value)

    element.replace_values(clean)


def clean_character_set(element: ElementInWork) -> None:
    """Keep the terms that name character sets (PS3.3 C.12.1.1.2): anything else in their place is no term."""
    terms = [term.strip() for term in element.raw.decode("latin-1").strip(" \0").split("\\")]
    kept = "\\".join(term if known_term(term) else "" for term in terms)
    element.raw = pad(kept.encode("latin-1"), "CS")
    element.changed = True


def known_character_set(raw: bytes) -> bool:
    """Tell whether every term names a character set."""
    return all(known_term(term.strip()) for term in raw.decode("latin-1").strip(" \0").split("\\"))


def moved_by(shift: ShiftDateTime) -> Act:
    """Return the action that moves dates as a rule with PreserveIntervals does; times stay where they are legal."""

    def move(element: ElementInWork) -> None:
        if element.vr == "TM":
            element.replace_values(lambda value, _: value if shift_tm(value, 0) is not None else "")
        else:
            shift.apply(element)

    return move


def clean_zone(element: ElementInWork) -> None:
    """Take away what is no offset from UTC."""
    element.replace_values(lambda value, _: value if _ZONE.fullmatch(value) else "")


@dataclass(frozen=True)
class Applied:
    """An action as a step of a decision."""

    act: Act

    def apply(self, element: ElementInWork) -> None:
        """Do it."""
        self.act(element)


@dataclass(frozen=True)
class Otherwise:
    """What the profile does to an element that the rules before it left as it was."""

    treatment: Treatment

    def apply(self, element: ElementInWork) -> None:
        """Do it where nothing has changed the element."""
        if element.changed or not element.present:
            return
        treatment = self.treatment
        if treatment.unless is not None and treatment.unless(element.raw):
            return
        if element.raw:
            element.note(f"{LEFT}: {treatment.reason}")
        if treatment.removed:
            element.remove()
        elif treatment.emptied:
            element.empty()
        elif treatment.act is not None:
            treatment.act(element)


@dataclass(frozen=True)
class Then:
    """An action that goes on with another where no value is left: an attribute of type 1 needs one."""

    act: Act
    otherwise: Act

    def __call__(self, element: ElementInWork) -> None:
        """Do it."""
        had_value = not element.is_empty
        self.act(element)
        if had_value and element.is_empty:
            self.otherwise(element)


# ----------------------------------------------------------------------------------------- values that stay as they are
_ZONE = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")
_DS = re.compile(rb"[0-9+.eE \\-]*", re.ASCII)
_IS = re.compile(rb"[0-9+ \\-]*", re.ASCII)
_AS = re.compile(rb"\d{3}[DWMY] *|", re.ASCII)
# Defined terms are words with few digits, but for methods of compression and the four digits that tell of ultrasound
# how it was made (PS3.3 C.8.5.6.1.1): long numbers, and those behind a word, may be an identifier.
_CS = re.compile(
    rb"(?!.*(?:(?<!ISO_)(?<!\d)\d{5}|(?<!ISO)[A-Za-z_ -]\d{4}|[A-Za-z]{4}\d{3}))[A-Za-z0-9 _\\\\+-]*", re.ASCII
)
_UI = re.compile(rb"[0-9.\\]*", re.ASCII)
# Six characters, three letters in a row among them, and nothing that is not written.
_TEXT = re.compile(r"(?=.{6})(?=.*?[^\W\d_]{3})[\t\r\n\x20-\x7e\u00a0-\ufffd]*", re.DOTALL)
_SHORTEST_TEXT, _LONGEST_TEXT = 6, 4096


def is_legal(vr: str) -> Guard | None:
    """Return the test of values that the profile has nothing to say about: they are what the VR is for."""
    found = {"DS": _DS, "IS": _IS, "AS": _AS, "CS": _CS, "UI": _UI}.get(vr)
    if found is None:
        return None
    match = found.fullmatch
    return lambda raw: match(strip_padding(raw)) is not None


def is_no_text(raw: bytes) -> bool:
    """Tell whether bytes are numbers, as far as that shows: not all of them are letters, in ASCII, UTF-8 or UTF-16."""
    if len(raw) < _SHORTEST_TEXT:
        return True
    if raw.isascii():
        return _TEXT.fullmatch(raw.replace(b"\0", b"").decode("ascii")) is None
    if len(raw) > _LONGEST_TEXT:
        return True
    try:
        return _TEXT.fullmatch(raw.decode("utf-8").strip("\0")) is None
    except UnicodeDecodeError:
        return True


def is_legal_time(raw: bytes) -> bool:
    """Tell whether a value is a legal time: it stays where dates are moved by whole days."""
    text = raw.decode("latin-1").strip(" \0")
    return all(not value or shift_tm(value, 0) is not None for value in text.split("\\"))


def is_legal_date(vr: str) -> Guard:
    """Return the test of a date that is retained: a legal one, nothing else that stands in its place."""
    shift = {"DA": shift_da, "DT": shift_dt_days, "TM": shift_tm}[vr]

    def test(raw: bytes) -> bool:
        text = raw.decode("latin-1").strip(" \0")
        return all(not value.strip() or shift(value.strip(), 0) is not None for value in text.split("\\"))

    return test
