"""The profile at one place of a data set: what it does to each kind of element at the top level, or in some items.

::

    Profile(options, …) ── .top ──► Place ── .treat(head) ──► Treatment ── .place / .choose ──► Place

Beyond the rows of table E.1-1 the places hold what the table leaves to the reader: elements in no dictionary go, names,
dates and UIDs without a row are treated like those that have one, text is cleaned (CleanDescriptors), and values that
are illegal for their VR do not pass.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache, partial
from pathlib import Path

from common.dicom_dataset import Item
from common.dicom_head import Head
from common.tags import is_private
from deidentifier.profiles import timestamps
from deidentifier.profiles import treatments as does
from deidentifier.profiles.codes import clean_code_meaning, clean_code_value
from deidentifier.profiles.content import Content
from deidentifier.profiles.declared import Declared
from deidentifier.profiles.icc import ICC_PROFILE, treat_icc
from deidentifier.profiles.private import treat_private
from deidentifier.profiles.tables import Action, ProfileTable, attribute_types, resolve
from deidentifier.profiles.treatments import EMPTIED, REMOVED, Guard, Treatment
from deidentifier.transformations.randomize_uid import KINDS, randomize_uids, replace_every_uid
from deidentifier.transformations.shift_date_time import ShiftDateTime

TEXT = frozenset(("LO", "LT", "SH", "ST", "UC", "UT"))
_DATES = frozenset(("DA", "DT", "TM"))
_CODES = frozenset((0x00080100, 0x00080119, 0x00080120))
_CODE_MEANING = 0x00080104
_TEXT_VALUE, _CONCEPT_NAME, _TIMEZONE = 0x0040A160, 0x0040A043, 0x00080201
# Trees of content items, each with a concept name of its own.
_CONTENT = frozenset((0x0040A730, 0x00400555, 0x00400610))
# Without a row in the table, yet no place for them in a file that is de-identified: what is encrypted or signed, where
# to get the original, and what the sender says about private elements.
_FURTHER = {
    0x04000500: "X",  # EncryptedAttributesSequence
    0x4FFE0001: "X",  # MACParametersSequence
    0x00080300: "X",  # PrivateDataElementCharacteristicsSequence
    0x00287FE0: "X",  # PixelDataProviderURL
    0x00081190: "X",  # RetrieveURL
    0x0040E010: "X",  # RetrieveURI
    0x00100033: "X",  # PatientBirthDateInAlternativeCalendar
    0x00100034: "X",  # PatientDeathDateInAlternativeCalendar
    # Where they do not belong, outside the sequences that go with all that is in them.
    0x04000120: "X",  # Signature
    0x04000520: "X",  # EncryptedContent
}
# Commands, file meta information, directories: names of files and media are no part of an instance.
_OF_OTHERS = frozenset((0x0000, 0x0002, 0x0004))
# Coded strings that people, not devices, make up (PS3.3 C.10.9, C.10.7).
_LABELS = frozenset((0x00700002, 0x00700080))  # GraphicLayer, ContentLabel
_BODY_PART = 0x00180015
_BYTES = frozenset(("FD", "FL", "OB", "OD", "OF", "OL", "OV", "OW", "SL", "SV", "UL", "UV"))
_LUT_DATA = 0x00283006  # US, too; other short integers have no room for text
_BASIC = ProfileTable([])
_FREE_OF_VALUES = "kept where legal"


@cache
def technical() -> frozenset[str]:
    """Return the keywords of elements that describe machines and methods in words of their own."""
    lines = (Path(__file__).parent / "technical.txt").read_text().splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


class Profile:
    """The Basic Profile with some options, for one kind of instance.

    Parameters
    ----------
    options
        Names of :data:`deidentifier.profiles.tables.OPTIONS`.
    sop_class
        UID that tells the IOD, and so the types of the attributes.
    shift
        How dates are moved under RetainLongitudinalModifiedDates.
    line
        Where in the rules file it is asked for.
    declared
        Private elements that the sender declares to be safe, where it is trusted.
    """

    def __init__(
        self,
        options: Collection[str],
        sop_class: str,
        shift: ShiftDateTime,
        line: int = 0,
        declared: Declared = frozenset(),
    ) -> None:
        self.options = frozenset(options)
        self.line = line
        self.table = ProfileTable(self.options, declared)
        self.cleans_text = not self.options.isdisjoint(("CleanDescriptors", "CleanStructuredContent"))
        self.content = Content(self.options)
        self.shift = shift
        self.move = does.moved_by(shift)
        self.types = attribute_types().types_of(sop_class)
        self._prefixes = {path[: place + 1] for path in self.types for place, sign in enumerate(path) if sign == "."}
        self._places: dict[tuple[str, str], Place] = {}
        self.top = self.place("", "")

    def place(self, prefix: str, mode: str) -> Place:
        """Return the place of items, by the keywords of their sequences joined and ended by dots."""
        # Where the IOD has nothing to say, all places are alike.
        known = prefix if prefix in self._prefixes else "?" if prefix else ""
        found = self._places.get((known, mode))
        if found is None:
            found = self._places[known, mode] = Place(self, known, mode)
        return found


class Place:
    """The profile inside one kind of item.

    ``mode`` tells what becomes of text there: ``dummy`` (all of it goes), ``clean``, or nothing special.
    """

    def __init__(self, profile: Profile, prefix: str, mode: str) -> None:
        self._profile, self._prefix, self._mode = profile, prefix, mode

    def treat(self, head: Head) -> Treatment | None:
        """Return what is done to an element, None where it stays as it is."""
        tag = head.tag
        if is_private(tag):
            return treat_private(self._profile, head, self.enter(head))
        group = tag >> 16
        if group >> 8 in (0x50, 0x60) or not head.keyword or group in _OF_OTHERS:
            # A plane without its bits, a curve without its points: the whole group goes.
            return REMOVED
        if tag in timestamps.TAGS:
            return timestamps.treat(self._profile, tag)
        if tag == ICC_PROFILE:
            return treat_icc()
        code = self._profile.table.code(tag) or _FURTHER.get(tag)
        if code is None:
            return self._unlisted(head)
        if code == "K":
            return self._kept(head)
        if code == "C":
            return self._cleaned(head)
        return self._by_code(head, code)

    def enter(self, head: Head, mode: str | None = None) -> Place:
        """Return the place inside a sequence."""
        mode = self._mode if mode is None else mode
        return self._profile.place(f"{self._prefix}{head.keyword or head.name}.", mode)

    def kind(self, head: Head) -> str:
        """Return the type of an attribute here: ``1``, ``2`` or ``3``; where all text goes, none is left out."""
        known = self._profile.types.get(self._prefix + head.keyword, "3")[0]
        return "1" if self._mode == "dummy" and known == "3" else known

    # ------------------------------------------------------------------------------------------ by code of the table
    def _by_code(self, head: Head, code: str) -> Treatment:
        action = resolve(code, self.kind(head))
        if action is Action.REMOVE:
            return REMOVED
        if action is Action.EMPTY:
            return EMPTIED
        if head.vr == "SQ":
            return self._sequence(head, dummy=action is Action.DUMMY)
        if action is Action.UID and head.vr == "UI":
            # The table names some that name a kind of device or template, too.
            return Treatment("UID replaced", act=replace_every_uid)
        return Treatment("dummy value", act=does.replace_by_dummy)

    def _kept(self, head: Head) -> Treatment | None:
        if head.vr == "SQ":
            return self._sequence(head)
        if head.vr in _DATES:
            return Treatment(_FREE_OF_VALUES, act=does.empty, unless=does.is_legal_date(head.vr))
        if head.tag == _TIMEZONE:
            return Treatment(_FREE_OF_VALUES, act=does.clean_zone)
        if head.vr in TEXT and self._profile.cleans_text and self._profile.table.keeps_characteristic(head.tag):
            return self._text(head, does.clean_words)
        return self._legal(head)

    def _cleaned(self, head: Head) -> Treatment | None:
        if head.vr == "SQ":
            return self._sequence(head)
        if head.vr in _DATES:
            return self._date(head)
        if head.tag == _TIMEZONE:
            return Treatment("cleaned", act=does.clean_zone)
        if head.vr in TEXT:
            return self._text(head, does.clean_words)
        if head.vr in ("AE", "CS"):
            return self._text(head, does.strip_identifiers)
        # Nobody can clean bytes: the basic profile decides.
        return self._by_code(head, _BASIC.code(head.tag) or "X")

    def _text(self, head: Head, act: does.Act) -> Treatment:
        needed = self.kind(head) == "1" or self._profile.table.code(head.tag) is None
        return Treatment("cleaned", act=does.Then(act, does.replace_by_dummy) if needed else act)

    def _sequence(self, head: Head, dummy: bool = False) -> Treatment:
        if head.tag in _CONTENT:
            return Treatment("cleaned by concepts", place=self.enter(head), choose=partial(self._choose, head))
        if head.tag == _CONCEPT_NAME:  # what an item is about stays, whatever becomes of its value
            return Treatment("cleaned inside", place=self.enter(head, ""))
        return Treatment("cleaned inside", place=self.enter(head, "dummy" if dummy else None))

    def _choose(self, head: Head, item: Item) -> Place | None:
        mode = self._profile.content.mode(item)
        return None if mode is None else self.enter(head, mode)

    def _date(self, head: Head) -> Treatment:
        options = self._profile.options
        if "RetainLongitudinalModifiedDates" in options:
            guard: Guard | None = does.is_legal_time if head.vr == "TM" else None
            return Treatment("moved in time", act=self._profile.move, unless=guard)
        if "RetainLongitudinalFullDates" in options:
            return Treatment(_FREE_OF_VALUES, act=does.empty, unless=does.is_legal_date(head.vr))
        return self._by_code(head, "X/Z/D")

    # -------------------------------------------------------------------------------------------- not in the table
    def _unlisted(self, head: Head) -> Treatment | None:
        vr = head.vr
        if vr == "SQ":
            return self._sequence(head)
        if vr == "UI" and head.tag not in KINDS and "RetainUIDs" not in self._profile.options:
            return Treatment("UID replaced", act=randomize_uids)
        if vr in _DATES:
            return self._date(head)
        if vr == "PN":
            return self._by_code(head, "Z/D")
        if vr in ("AE", "UN", "UR"):
            return self._by_code(head, "X/Z/D")
        if vr in TEXT:
            return self._unlisted_text(head)
        if vr in _BYTES or head.tag == _LUT_DATA:
            return Treatment("text in bytes removed", act=does.replace_by_dummy, unless=does.is_no_text)
        if self._profile.cleans_text and head.tag in _LABELS:
            return self._text(head, does.clean_words)
        if self._profile.cleans_text and head.tag == _BODY_PART:
            return self._text(head, does.strip_identifiers)
        return self._legal(head)

    def _unlisted_text(self, head: Head) -> Treatment | None:
        if self._mode == "dummy":
            return Treatment("dummy value", act=does.replace_by_dummy)
        if head.tag == _TEXT_VALUE:
            return self._text(head, does.clean_words) if self._profile.cleans_text else self._by_code(head, "D")
        if not self._profile.cleans_text:
            return None
        if head.tag in _CODES:
            return Treatment("cleaned", act=clean_code_value)
        if head.tag == _CODE_MEANING:
            return Treatment("cleaned", act=clean_code_meaning)
        return self._text(head, does.strip_identifiers if head.keyword in technical() else does.clean_words)

    def _legal(self, head: Head) -> Treatment | None:
        """Let a value pass that is legal for its VR; of any other, what looks like an identifier goes."""
        guard = does.is_legal(head.vr)
        if guard is None:
            return None
        act = does.empty if head.vr in ("AS", "DS", "IS", "UI") else does.clean_terms
        return Treatment(_FREE_OF_VALUES, act=act, unless=guard)
