"""``RandomizeText``."""

from __future__ import annotations

from typing import ClassVar

from pydicom._dicom_dict import DicomDictionary

from common.tag_patterns import TagPattern
from common.yaml_file import Report
from common.yaml_kinds import Switch, Text, Values
from deidentifier.transformations.base import (
    Transformation,
    exceptions,
    key,
    listed,
    patterns,
    reuse,
    transformation,
    within,
)

_INSTEAD = {
    "UI": "a UID cannot become random text, use RandomizeUID",
    "SQ": "a sequence cannot become random text, use DeleteTags",
}


@transformation
class RandomizeText(Transformation):
    """Replaces each value by a random text of 8 letters and digits, or a random legal value where the VR wants one.

    A ``UI`` element that a wildcard or a VR pattern hits is treated as RandomizeUID would. Binary elements, those of
    unknown VR and sequences that are hit are emptied and reported.
    """

    NAME: ClassVar[str] = "RandomizeText"

    tag_patterns: tuple[TagPattern, ...] = patterns()
    except_tag_patterns: tuple[TagPattern, ...] = exceptions()
    split: str | None = key(
        "Split", Text(), "The value is cut at this text and each part that is not empty replaced.", default=None
    )
    ignore_case: bool = key("IgnoreCase", Switch(), "Values that differ in case alone are the same.", default=False)
    reuse_mapping: str | None = reuse()

    @classmethod
    def check(cls, values: Values, report: Report) -> None:
        """Refuse UIDs and sequences that are named outright."""
        for pattern, node in zip(values["TagPatterns"] or (), values.items_at("TagPatterns"), strict=False):
            vr = DicomDictionary[pattern.exact_tag][0] if pattern.exact_tag in DicomDictionary else ""
            if vr in _INSTEAD:
                report.error(node, f"{pattern.text}: {_INSTEAD[vr]}")

    def describe(self) -> str:
        """Return a sentence in plain English."""
        parts = f", part by part between {self.split!r}" if self.split else ""
        case = ", ignoring case" if self.ignore_case else ""
        names = listed(self.tag_patterns, self.except_tag_patterns)
        return f"Replaces the values of {names} by random text{parts}{case}, {within(self.reuse_mapping)}."
