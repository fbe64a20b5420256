"""The library of known device regions: manufacturer, model and size of an image, and where its text stands."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import Any

from pydicom.dataset import Dataset

from common.errors import RulesError
from common.yaml_file import Report, parse_yaml
from common.yaml_kinds import INVALID, Integer, ListOf, Switch, Text
from common.yaml_records import Field, Record, Values
from deidentifier.pixels.boxes import Box, Boxes

_MAX = 65_535  # Rows and Columns are US
_PATTERNS = ("Manufacturer", "ManufacturerModelName", "Modality")


def _check(values: Values, report: Report) -> None:
    if not any(values[name] for name in _PATTERNS):
        report.error(values.node, f"a region names at least one of {', '.join(_PATTERNS)}")
    if not values["BoxCoordinates"] and not values["OutsideUltrasoundRegions"]:
        report.error(values.node, "a region has BoxCoordinates or OutsideUltrasoundRegions")


_REGION = Record(
    (
        *(Field(name, Text(), "A pattern; * stands for any run of characters.") for name in _PATTERNS),
        Field("Columns", Integer(1, _MAX), "Width of the image in pixels."),
        Field("Rows", Integer(1, _MAX), "Height of the image in pixels."),
        Field("BoxCoordinates", ListOf(ListOf(Integer(0, _MAX), minimum=4, maximum=4)), "Boxes to hide.", default=()),
        Field("OutsideUltrasoundRegions", Switch(), "Hide all above and below (0018,6011).", default=False),
    ),
    "the keys of a region",
    check=_check,
)
_FILE = Record((Field("Regions", ListOf(_REGION), "The regions.", mandatory=True),))


@dataclass(frozen=True)
class Region:
    """One entry of the library."""

    patterns: tuple[tuple[str, str], ...]
    columns: int | None
    rows: int | None
    boxes: Boxes
    outside: bool

    def fits(self, header: Dataset) -> bool:
        """Tell whether an image is of this kind."""
        return (
            self.columns in (None, header.get("Columns"))
            and self.rows in (None, header.get("Rows"))
            and all(_matches(str(header.get(keyword) or ""), pattern) for keyword, pattern in self.patterns)
        )

    def boxes_in(self, header: Dataset) -> Boxes:
        """Return what is to be hidden in an image of this kind."""
        return (*self.boxes, *(outside_ultrasound_regions(header) if self.outside else ()))


def _matches(value: str, pattern: str) -> bool:
    # Brackets and question marks in a name stand for themselves.
    literal = pattern.casefold().replace("[", "[[]").replace("?", "[?]")
    return fnmatchcase(value.strip().casefold(), literal)


def outside_ultrasound_regions(header: Dataset) -> Boxes:
    """Return the bands above and below all regions that the image declares (PS3.3 C.8.5.5), none without regions."""
    try:
        tops = [int(item.RegionLocationMinY0) for item in header.get("SequenceOfUltrasoundRegions") or ()]
        bottoms = [int(item.RegionLocationMaxY1) for item in header.get("SequenceOfUltrasoundRegions") or ()]
        rows, columns = int(header.Rows), int(header.Columns)
    except (AttributeError, TypeError, ValueError):
        return ()
    if not tops:
        return ()
    bands = Box(0, 0, columns, min(tops)), Box(0, max(bottoms) + 1, columns, rows)
    return tuple(band for band in bands if band.area)


def load_regions(text: str | bytes, file: str) -> tuple[Region, ...]:
    """Read a library.

    Raises
    ------
    RulesError
        Every problem, with line and column.
    """
    report = Report(file)
    node = parse_yaml(text, report)
    values: Any = _FILE.read(node, report) if node is not None else INVALID
    if report.errors or values is INVALID:
        raise RulesError(report.errors)
    return tuple(_region(one) for one in values["Regions"])


def _region(values: Values) -> Region:
    return Region(
        tuple((name, values[name]) for name in _PATTERNS if values[name]),
        values["Columns"],
        values["Rows"],
        tuple(Box(*box) for box in values["BoxCoordinates"]),
        bool(values["OutsideUltrasoundRegions"]),
    )


@cache
def shipped_regions() -> tuple[Region, ...]:
    """Return the library that comes with the product."""
    file = resources.files("deidentifier.pixels") / "regions.yaml"
    return load_regions(file.read_bytes(), "regions.yaml")


def known_boxes(header: Dataset, regions: tuple[Region, ...]) -> Boxes:
    """Return the boxes of all entries that fit an image."""
    return tuple(box for region in regions if region.fits(header) for box in region.boxes_in(header))
