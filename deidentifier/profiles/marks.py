"""What an instance says about its own de-identification (PS3.3 C.12.1.1, C.7.1.1; codes of PS3.16 CID 7050)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from common.dicom_head import ITEM, Syntax
from common.yaml_file import Node
from deidentifier.profiles.tables import OPTIONS
from deidentifier.transformations.add_tags import AddTags, Step
from deidentifier.vrs import encode_values, pad

if TYPE_CHECKING:
    from deidentifier.element import ElementInWork
    from deidentifier.profiles.place import Profile

BASIC = ("113100", "Basic Application Confidentiality Profile")
CODES = {
    "CleanPixelData": ("113101", "Clean Pixel Data Option"),
    "CleanGraphics": ("113103", "Clean Graphics Option"),
    "CleanStructuredContent": ("113104", "Clean Structured Content Option"),
    "CleanDescriptors": ("113105", "Clean Descriptors Option"),
    "RetainLongitudinalFullDates": ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "RetainLongitudinalModifiedDates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "RetainPatientCharacteristics": ("113108", "Retain Patient Characteristics Option"),
    "RetainDeviceIdentity": ("113109", "Retain Device Identity Option"),
    "RetainUIDs": ("113110", "Retain UIDs Option"),
    "RetainSafePrivate": ("113111", "Retain Safe Private Option"),
    "RetainInstitutionIdentity": ("113112", "Retain Institution Identity Option"),
}
_CLEAN_TEXT = frozenset(("CleanDescriptors", "CleanStructuredContent"))
_IDENTITY_REMOVED, _METHOD, _METHOD_CODES, _LONGITUDINAL = 0x00120062, 0x00120063, 0x00120064, 0x00280303


@dataclass(frozen=True)
class Mark(AddTags):
    """An element that the profile writes, whatever was there."""

    NAME: ClassVar[str] = "Profile"

    ran: frozenset[str] = field(default=frozenset(), kw_only=True)

    def describe(self) -> str:
        """Return a sentence in plain English."""
        return f"Writes {self.tag[0]}, which says what ran."

    def apply(self, element: ElementInWork) -> None:
        """Write the element; what became of the pixels is known by now."""
        options = self.ran | ({"CleanPixelData"} if element.instance.pixels_examined else set())
        if self.vr == "SQ":
            element.write("SQ", _code_items(_codes(options), element.syntax))
            return
        values = self.value
        if self.tag[0].tag == _METHOD:
            model = element.instance.recogniser if options & _CLEAN_TEXT else ""
            values = (*values, *_names(options), *([f"NER {model}"] if model else ()))
        element.write(self.vr, encode_values(self.vr, values, element.encodings, element.order))


def marks(profile: Profile, *, kept: bool, version: str) -> tuple[Mark, ...]:
    """Return the marks of a profile.

    Parameters
    ----------
    kept
        Whether KeepTags exempts anything.
    version
        Of the software.
    """
    # Pixels are examined or not, image by image.
    ran = profile.options - {"CleanPixelData"}
    if "RetainLongitudinalModifiedDates" in ran:
        dates = "MODIFIED"
    else:
        dates = "UNMODIFIED" if "RetainLongitudinalFullDates" in ran else "REMOVED"
    method = [f"Research PACS {version}", "DICOM PS3.15 Basic Profile"] + (["with exceptions"] if kept else [])
    values = ((_IDENTITY_REMOVED, "CS", ("YES",)), (_METHOD, "LO", tuple(method)), (_METHOD_CODES, "SQ", ()))
    place = Node(profile.line, 1)
    return tuple(
        Mark(tag=(Step(tag),), vr=vr, value=value, overwrite_if_exists=True, ran=ran, place=place)
        for tag, vr, value in (*values, (_LONGITUDINAL, "CS", (dates,)))
    )


def _names(options: Iterable[str]) -> list[str]:
    return [name for name in OPTIONS if name in options]


def _codes(options: Iterable[str]) -> list[tuple[str, str]]:
    return [BASIC, *(CODES[name] for name in _names(options))]


def _code_items(codes: Iterable[tuple[str, str]], syntax: Syntax) -> bytes:
    """Return the items of a code sequence."""
    items = []
    for code, meaning in codes:
        body = b"".join(
            syntax.write_header(tag, vr, len(raw)) + raw
            for tag, vr, raw in (
                (0x00080100, "SH", pad(code.encode(), "SH")),
                (0x00080102, "SH", pad(b"DCM", "SH")),
                (0x00080104, "LO", pad(meaning[:64].encode(), "LO")),
            )
        )
        items.append(syntax.write_item_header(ITEM, len(body)) + body)
    return b"".join(items)
