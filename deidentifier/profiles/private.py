"""Private elements under the profile: those that the standard knows to be safe may stay (PS3.15 E.3.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.dicom_head import Head
from common.dicom_text import NUMBERS
from deidentifier.profiles import treatments as does
from deidentifier.profiles.tables import read_safe_private
from deidentifier.profiles.treatments import REMOVED, Treatment
from deidentifier.transformations.randomize_uid import randomize_uids

if TYPE_CHECKING:
    from deidentifier.profiles.place import Place, Profile

_TEXT = frozenset(("LO", "LT", "SH", "ST", "UC", "UT", "CS"))
_SIZES = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "UV": 8, "SV": 8, "AT": 4}


def treat_private(profile: Profile, head: Head, inside: Place) -> Treatment | None:
    """Return what is done to a private element; its creator stays as long as one of its elements does."""
    if not profile.table.keeps_private(head.creator, head.tag):
        return REMOVED
    # Of what the sender alone declares to be safe, no VR is known but that in the file.
    expected = read_safe_private().get((head.creator.strip(), head.tag >> 16, head.tag & 0xFF), "")
    if head.vr == "SQ":
        return Treatment("safe private, cleaned inside", place=inside)
    # Where the file names no VR, PS3.15 knows better than a dictionary of private elements. (OW/OB are alike here.)
    guessed = head.written in ("", "UN")
    return _treat_as(profile, expected.partition("/")[0] if guessed and expected else head.vr)


def _treat_as(profile: Profile, vr: str) -> Treatment | None:
    """Let pass what is legal for the VR that the standard gives for the element: safe are numbers, not whatever."""
    if vr in ("DA", "DT", "TM"):
        if "RetainLongitudinalModifiedDates" in profile.options:
            return Treatment("safe private, moved in time", act=profile.move)
        if "RetainLongitudinalFullDates" in profile.options:
            return Treatment("safe private", act=does.empty, unless=does.is_legal_date(vr))
        return REMOVED
    if vr == "UI":
        return Treatment("safe private, UID replaced", act=randomize_uids)
    if vr in _TEXT:
        return Treatment("safe private, cleaned", act=does.strip_identifiers)
    if vr in NUMBERS:
        size = _SIZES[vr]
        return Treatment(
            "safe private", act=does.empty, unless=lambda raw: len(raw) % size == 0 and does.is_no_text(raw)
        )
    guard = does.is_legal(vr)
    if guard is not None:
        return Treatment("safe private", act=does.empty, unless=guard)
    if vr in ("OB", "OW", "OF", "OD", "OL"):
        return Treatment("safe private", act=does.empty, unless=does.is_no_text)
    return REMOVED
