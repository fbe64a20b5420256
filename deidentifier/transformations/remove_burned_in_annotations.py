"""``RemoveBurnedInAnnotations``."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from common.yaml_file import Node, Report
from common.yaml_kinds import INVALID, Integer, ListOf, OneOf, Schema, Switch, Text
from common.yaml_records import Values
from deidentifier.transformations.base import Transformation, key, transformation

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


def parse_keep(text: str) -> re.Pattern[str]:
    """Compile a pattern for text that may stay: a regular expression for the whole text, in any case.

    Raises
    ------
    ValueError
        It is not a regular expression.
    """
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as exc:
        raise ValueError(f"not a regular expression: {exc.msg}") from None


@transformation
class RemoveBurnedInAnnotations(Transformation):
    """Blackens text burned into the pixels, in every frame."""

    NAME: ClassVar[str] = "RemoveBurnedInAnnotations"

    type: str = key("Type", OneOf(("Manual", "OCR")), "Manual: the boxes that are given; OCR: text that is found.")
    box_coordinates: tuple[tuple[int, int, int, int], ...] = key(
        "BoxCoordinates",
        ListOf(_Box(), minimum=1),
        "With Manual: boxes [left, top, right, bottom] in pixels, right and bottom exclusive.",
        default=(),
    )
    engine: str | None = key(
        "Engine",
        OneOf(("rekognition", "local")),
        "With OCR: what finds the text; local unless RPACS_REKOGNITION_REGION is set.",
        default=None,
    )
    keep: tuple[re.Pattern[str], ...] = key(
        "Keep",
        ListOf(Text(parse_keep, expected="a regular expression"), single=True, minimum=1),
        "With OCR: text that may stay: regular expressions for the whole text, in any case.",
        default=(),
    )
    header_terms: bool = key(
        "HeaderTerms",
        Switch(),
        "With OCR: hides only text that resembles the instance's own names, identifiers and dates.",
        default=False,
    )

    @classmethod
    def check(cls, values: Values, report: Report) -> None:
        """Refuse ``Manual`` without boxes, and keys that the type does not use."""
        given = values.node.entries
        if values["Type"] == "Manual" and "BoxCoordinates" not in given:
            report.error(values.node, "Type: Manual needs BoxCoordinates")
        others = {"Manual": ("Engine", "Keep", "HeaderTerms"), "OCR": ("BoxCoordinates",)}
        for name in others.get(values["Type"] or "", ()):
            if name in given:
                report.error(given[name][0], f"{name}: not with Type: {values['Type']}")

    def describe(self) -> str:
        """Return a sentence in plain English."""
        if self.type == "Manual":
            return f"Blackens {len(self.box_coordinates)} boxes of pixels in every frame."
        what = "text that resembles the instance's own identifying values" if self.header_terms else "text"
        kept = f", except what matches one of {len(self.keep)} patterns" if self.keep else ""
        engine = {"rekognition": "Amazon Rekognition", "local": "the local engine"}.get(self.engine or "", "")
        return f"Finds {what} in every frame{f' with {engine}' if engine else ''} and blackens it{kept}."
