"""``RandomizeText``."""

from __future__ import annotations

import hashlib
import re
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from common.dicom_dictionary import DicomDictionary
from common.tag_patterns import TagPattern
from common.yaml_file import Report
from common.yaml_kinds import INVALID, Switch, Text
from common.yaml_records import Values
from deidentifier.mappings import PREDEFINED
from deidentifier.transformations.base import (
    Effect,
    Transformation,
    exceptions,
    key,
    listed,
    patterns,
    reuse,
    transformation,
    within,
)
from deidentifier.transformations.randomize_uid import randomize_uids, uid_effect

if TYPE_CHECKING:
    from deidentifier.element import ElementInWork

_PROJECT = r"[A-Za-z0-9]([A-Za-z0-9 ._-]{0,62}[A-Za-z0-9._-])?"
_SHARED = ("Always", "SamePatient")
_FREE = frozenset(("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_LITTLE_ROOM = frozenset(("AS", "DA", "DS", "DT", "IS", "TM"))
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# Bytes from 248 on are left out, so that each of the 62 characters is as likely as the others.
_CHARACTERS = bytes(_ALPHABET[number % 62] for number in range(256))
_LEFT_OUT = bytes(range(248, 256))
_LENGTH = 8
_INSTEAD = {
    "UI": "a UID cannot become random text, use RandomizeUID",
    "SQ": "a sequence cannot become random text, use DeleteTags",
}


def parse_project(text: str) -> str:
    """Return the name of a project.

    Raises
    ------
    ValueError
        It is none.
    """
    if not re.fullmatch(_PROJECT, text):
        raise ValueError(
            "expected up to 64 letters, digits, spaces, dots, dashes, underscores, a letter or digit first"
        )
    return text


@transformation
class RandomizeText(Transformation):
    """Replaces each value by a random text of 8 letters and digits, or a random legal value where the VR wants one.

    A ``UI`` element that a wildcard or a VR pattern hits is treated as RandomizeUID would. Binary elements, those of
    unknown VR and sequences that are hit are emptied and reported.

    With ``Project`` the new values are the project's own: a patient who takes part in two projects has another
    pseudonym in each. Codes that ``import-pseudonyms`` stored for the project are used. An instance that rules of two
    projects are for is quarantined, and so is one in which a rule of a project and another RandomizeText change the
    same element.
    """

    NAME: ClassVar[str] = "RandomizeText"
    LEAVES_EMPTY: ClassVar[bool] = True

    tag_patterns: tuple[TagPattern, ...] = patterns()
    except_tag_patterns: tuple[TagPattern, ...] = exceptions()
    split: str | None = key(
        "Split", Text(), "The value is cut at this text and each part that is not empty replaced.", default=None
    )
    ignore_case: bool = key("IgnoreCase", Switch(), "Values that differ in case alone are the same.", default=False)
    reuse_mapping: str | None = reuse()
    project: str | None = key(
        "Project",
        Text(parse_project, pattern=f"^{_PROJECT}$", expected="a project: letters, digits, spaces, dots and dashes"),
        "The new values are those of this project; needs ReuseMapping: Always or SamePatient.",
        default=None,
    )
    only_predefined: bool = key(
        "OnlyPredefined",
        Switch(),
        "An instance with a value that has no predefined code in the project is quarantined.",
        default=False,
    )

    @classmethod
    def check(cls, values: Values, report: Report) -> None:
        """Refuse UIDs and sequences that are named outright, and what a project's codes cannot be for."""
        if values["Project"] is not None and values["ReuseMapping"] not in (*_SHARED, INVALID):
            report.error(values.at("Project"), "Project needs ReuseMapping: Always or SamePatient")
        if values["OnlyPredefined"] is True and values["Project"] is None:
            report.error(values.at("OnlyPredefined"), "OnlyPredefined needs Project, whose codes it is about")
        for name in ("Split", "IgnoreCase"):
            if values["OnlyPredefined"] is True and values[name] not in (None, False, INVALID):
                report.error(values.at(name), f"{name} excludes OnlyPredefined: codes are for whole values as they are")
        for pattern, node in zip(values["TagPatterns"] or (), values.items_at("TagPatterns"), strict=False):
            vr = DicomDictionary[pattern.exact_tag][0] if pattern.exact_tag in DicomDictionary else ""
            if vr in _INSTEAD:
                report.error(node, f"{pattern.text}: {_INSTEAD[vr]}")

    @property
    def repeatable(self) -> bool:
        """Where mappings keep the new values; others are derived from the instance and the path."""
        return self.reuse_mapping is not None

    @property
    def stands_alone(self) -> bool:
        """A project's code is for the original value, not for what another rule made of it."""
        return self.project is not None

    @cached_property
    def _in_project(self) -> tuple[str, ...]:
        """Return what the project adds to the key of a mapping."""
        if self.project is None:
            return ()
        return (self.project, PREDEFINED) if self.only_predefined else (self.project,)

    def describe(self) -> str:
        """Return a sentence in plain English."""
        parts = f", part by part between {self.split!r}" if self.split else ""
        case = ", ignoring case" if self.ignore_case else ""
        names = listed(self.tag_patterns, self.except_tag_patterns)
        project = f", in the project {self.project} with its own codes" if self.project else ""
        only = "; without a predefined code the instance is quarantined" if self.only_predefined else ""
        how = f"{parts}{case}, {within(self.reuse_mapping)}{project}{only}"
        return f"Replaces the values of {names} by random text{how}."

    def effect(self, tag: int, vr: str, present: bool) -> Effect:
        """Text changes, UIDs as by RandomizeUID, anything else loses its value."""
        if not present:
            return Effect.KEEPS
        if vr == "UI":
            return uid_effect(tag, vr)
        return Effect.CHANGES if vr in _FREE or vr == "CS" or vr in _LITTLE_ROOM else Effect.EMPTIES

    def apply(self, element: ElementInWork) -> None:
        """Replace every value by one that is legal for the VR; what is no text is emptied."""
        if element.vr in _FREE or element.vr == "CS":
            element.replace_values(self._replaced)
        elif element.vr in _LITTLE_ROOM:
            element.replace_values(self._replaced_little)
        elif element.vr == "UI":
            randomize_uids(element)
        elif not element.is_empty:
            element.empty()

    def _replaced(self, value: str, element: ElementInWork) -> str:
        if not self.split:
            return self._part(value, element)
        return self.split.join(self._part(part, element) for part in value.split(self.split))

    def _part(self, value: str, element: ElementInWork) -> str:
        if not value.strip():
            return value
        original = value.casefold() if self.ignore_case else value
        text = element.mapped("TEXT", self.reuse_mapping, original, random_text, self._in_project)
        return text.upper() if element.vr == "CS" else text

    def _replaced_little(self, value: str, element: ElementInWork) -> str:
        return legal_value(element.vr, self._part(value, element)) if value else value


def random_text(random: bytes) -> str:
    """Return eight letters and digits, each equally likely, from 32 random bytes."""
    return random.translate(_CHARACTERS, _LEFT_OUT)[:_LENGTH].decode("ascii")


def legal_value(vr: str, text: str) -> str:
    """Turn a pseudonym into a value of a VR that has no room for it: always the same one for the same pseudonym.

    So one mapping serves an original value in elements of all VRs.
    """
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    day = date(1900, 1, 1) + timedelta(days=number % 36_500)
    clock = number // 36_500 % 86_400
    time = f"{clock // 3600:02}{clock // 60 % 60:02}{clock % 60:02}"
    if vr == "AS":
        return f"{number % 90 + 1:03}Y"
    if vr == "DA":
        return f"{day:%Y%m%d}"
    if vr == "TM":
        return time
    if vr == "DT":
        return f"{day:%Y%m%d}{time}"
    return str(number % 100_000_000)
