"""``AddTags``."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from common.dicom_dataset import CHARACTER_SET
from common.dicom_dictionary import DicomDictionary
from common.dicom_head import VALUE_REPRESENTATIONS
from common.tags import format_tag, keyword_of, parse_tag
from common.yaml_file import Report
from common.yaml_kinds import INVALID, ListOf, OneOf, Switch, Text
from common.yaml_records import Values
from deidentifier.transformations.base import Effect, Transformation, key, transformation
from deidentifier.vrs import encode_values

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement

    from deidentifier.element import ElementInWork

_STEP = re.compile(r"([A-Za-z0-9]+)(?:\[(\d+|%)\])?")
_NO_VALUE = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UN"})


@dataclass(frozen=True)
class Step:
    """One step of a path: a tag and, of a sequence, the item's number; None is every item."""

    tag: int
    item: int | None = None

    def __str__(self) -> str:
        name = keyword_of(self.tag) or format_tag(self.tag)
        return name if self.item is None else f"{name}[{self.item}]"


def parse_place(text: str) -> tuple[Step, ...]:
    """Parse a tag path: ``Seq[0].Tag`` in the first item, ``Seq[%].Tag`` and ``Seq.Tag`` in every item.

    Raises
    ------
    ValueError
        Says what is wrong.
    """
    steps = []
    for part in text.split("."):
        found = _STEP.fullmatch(part)
        if not found:
            raise ValueError(f"{part or text}: expected a keyword or a tag, of a sequence with [number] or [%]")
        steps.append(Step(parse_tag(found[1]), int(found[2]) if found[2] and found[2] != "%" else None))
        if found[2] and len(steps) == text.count(".") + 1:
            raise ValueError(f"{part}: an item number stands only behind a sequence")
    for step in steps[:-1]:
        if step.tag in DicomDictionary and DicomDictionary[step.tag][0] != "SQ":
            raise ValueError(f"{step}: not a sequence")
    last = steps[-1].tag
    if last >> 16 in (0x0000, 0x0002, 0xFFFE) or last & 0xFFFF == 0:
        raise ValueError(f"{steps[-1]}: not an element of the data set")
    if last == CHARACTER_SET:
        raise ValueError(f"{steps[-1]} says how the text of the file is encoded; no rule can change that")
    return tuple(steps)


def make_element(tag: int, vr: str, values: tuple[str, ...]) -> DataElement:
    """Return the element, its values checked against the VR.

    Raises
    ------
    ValueError
        A value is not legal for the VR.
    """
    # For who adds elements: importing pydicom takes as long as de-identifying 500 images.
    from pydicom import config
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    converted = [_convert(vr, value) for value in values]
    if vr in {"LT", "ST", "UT", "UR"} and len(converted) > 1:
        raise ValueError(f"{vr} takes one value")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            element = DataElement(
                tag, vr, converted[0] if len(converted) == 1 else converted, validation_mode=config.RAISE
            )
            dataset = Dataset()
            dataset.add(element)
            buffer = DicomBytesIO()
            buffer.is_little_endian, buffer.is_implicit_VR = True, False
            write_dataset(buffer, dataset, ["utf8"])
        except (ValueError, TypeError, OverflowError, AttributeError, UserWarning) as exc:
            raise ValueError(f"not legal for {vr}") from exc
    return element


def _convert(vr: str, text: str) -> str | int | float:
    """Make numbers of text where the VR holds numbers."""
    if vr in {"US", "UL", "SS", "SL", "UV", "SV"}:
        return int(text)
    if vr in {"FL", "FD"}:
        return float(text)
    return parse_tag(text) if vr == "AT" else text


@transformation
class AddTags(Transformation):
    """Adds an element, or replaces its value, in every addressed sequence item."""

    NAME: ClassVar[str] = "AddTags"

    tag: tuple[Step, ...] = key("Tag", Text(parse_place, expected="a tag path"), "Where the element goes: a tag path.")
    vr: str = key("VR", OneOf(tuple(sorted(VALUE_REPRESENTATIONS - _NO_VALUE))), "Its value representation.")
    value: tuple[str, ...] = key(
        "Value", ListOf(Text(empty=True), single=True), "Its value or list of values; checked against the VR."
    )
    overwrite_if_exists: bool = key(
        "OverwriteIfExists", Switch(), "Replaces the value where the element exists.", default=False
    )

    @classmethod
    def check(cls, values: Values, report: Report) -> None:
        """Refuse a value that is not legal for the VR; warn where the VR is not the element's."""
        place, vr, value = values["Tag"], values["VR"], values["Value"]
        if INVALID in (place, vr, value):
            return
        tag = place[-1].tag
        try:
            make_element(tag, vr, value)
        except ValueError:
            report.error(values.at("Value"), f"the value is not legal for {vr}")
        known = DicomDictionary[tag][0].split(" or ") if tag in DicomDictionary else [vr]
        if vr not in known:
            report.warn(values.at("VR"), f"{keyword_of(tag)} has the VR {' or '.join(known)} in the standard, not {vr}")

    def describe(self) -> str:
        """Return a sentence in plain English."""
        path = ".".join(map(str, self.tag))
        value = "\\".join(map(str, self.value))
        replaced = "replaced" if self.overwrite_if_exists else "left alone"
        return f"Adds {path} ({self.vr}) with the value {value!r}; where it exists it is {replaced}."

    def effect(self, tag: int, vr: str, present: bool) -> Effect:
        """Absent elements are written, and others if so asked."""
        return Effect.WRITES if self.overwrite_if_exists or not present else Effect.KEEPS

    def apply(self, element: ElementInWork) -> None:
        """Write the element where it is absent, or may be replaced."""
        if not element.present or self.overwrite_if_exists:
            element.write(self.vr, encode_values(self.vr, self.value, element.encodings, element.order))
