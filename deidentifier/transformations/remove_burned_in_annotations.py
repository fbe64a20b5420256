"""``RemoveBurnedInAnnotations``."""

from __future__ import annotations

from typing import Any, ClassVar

from common.tag_patterns import TagPattern
from common.yaml_file import Node, Report
from common.yaml_kinds import INVALID, Integer, ListOf, OneOf, Schema, Switch, Values
from deidentifier.transformations.base import PATTERNS, Transformation, key, transformation

NOT_YET = "not available yet"

UNAVAILABLE_TYPES: dict[str, str] = {"OCR": NOT_YET}
"""Types that are known and refused, with the reason."""

_MAX_COORDINATE = 65_535  # Rows and Columns are US


class _Box:
    """Left, top, right, bottom in pixels; right and bottom exclusive."""

    expected = "a box [left, top, right, bottom]"
    _list = ListOf(Integer(0, _MAX_COORDINATE), minimum=4, maximum=4)

    def read(self, node: Node, report: Report) -> Any:
        """Return the four numbers, the right way out."""
        box = self._list.read(node, report)
        if box is INVALID or len(box) != 4:
            return INVALID
        left, top, right, bottom = box
        if left >= right or top >= bottom:
            sides = "left must be less than right" if left >= right else "top must be less than bottom"
            report.error(node, f"the box is inside out: {sides}")
            return INVALID
        return box

    def schema(self) -> Schema:
        """Return a list of four numbers."""
        return self._list.schema()


class _Type(OneOf):
    """The type, refusing those that are not available."""

    def read(self, node: Node, report: Report) -> Any:
        """Return the type."""
        word = OneOf.read(self, node, report)
        if word in UNAVAILABLE_TYPES:
            report.error(node, f"{word}: {UNAVAILABLE_TYPES[word]}")
            return INVALID
        return word

    def schema(self) -> Schema:
        """Return the types that are available."""
        return {"enum": [word for word in self.words if word not in UNAVAILABLE_TYPES]}


@transformation
class RemoveBurnedInAnnotations(Transformation):
    """Blackens text burned into the pixels, in every frame."""

    NAME: ClassVar[str] = "RemoveBurnedInAnnotations"

    type: str = key("Type", _Type(("Manual", "OCR")), "Manual: the boxes that are given; OCR: text that is found.")
    box_coordinates: tuple[tuple[int, int, int, int], ...] = key(
        "BoxCoordinates",
        ListOf(_Box(), minimum=1),
        "Boxes [left, top, right, bottom] in pixels, right and bottom exclusive.",
        default=(),
    )
    engine: str | None = key(
        "Engine", OneOf(("rekognition", "local")), "What finds the text.", default=None, unavailable=NOT_YET
    )
    keep: tuple[TagPattern, ...] = key("Keep", PATTERNS, "Text that may stay.", default=(), unavailable=NOT_YET)
    header_terms: bool = key(
        "HeaderTerms", Switch(), "Looks for the header's values in the pixels.", default=False, unavailable=NOT_YET
    )

    @classmethod
    def check(cls, values: Values, report: Report) -> None:
        """Refuse ``Manual`` without boxes."""
        if values["Type"] == "Manual" and "BoxCoordinates" not in values.node.entries:
            report.error(values.node, "Type: Manual needs BoxCoordinates")

    def describe(self) -> str:
        """Return a sentence in plain English."""
        return f"Blackens {len(self.box_coordinates)} boxes of pixels in every frame."
