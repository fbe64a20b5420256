"""``ShiftDateTime``."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from common.tag_patterns import TagPattern
from common.yaml_file import Report
from common.yaml_kinds import Integer, Switch
from common.yaml_records import Values
from deidentifier.dates import shift_da, shift_dt, shift_dt_days, shift_tm
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

if TYPE_CHECKING:
    from deidentifier.element import ElementInWork

SECONDS_PER_DAY = 86_400
_SHIFTS = {"DA": shift_da, "TM": shift_tm, "DT": shift_dt}


@transformation
class ShiftDateTime(Transformation):
    """Moves dates and times by a random offset.

    ``DA`` moves by days, ``TM`` and ``DT`` by seconds; precision, fractions and UTC offsets are kept, ``TM`` wraps
    within the day. Elements of other VRs and empty values are left alone. A value that is no legal date or time is
    emptied and reported, never passed through.
    """

    NAME: ClassVar[str] = "ShiftDateTime"
    LEAVES_EMPTY: ClassVar[bool] = True

    tag_patterns: tuple[TagPattern, ...] = patterns()
    except_tag_patterns: tuple[TagPattern, ...] = exceptions()
    shift_by: int = key(
        "ShiftBy",
        Integer(1, 10_000_000_000),
        "Limit of the random offset, in both directions: days for DA, seconds for TM and DT; with PreserveIntervals, "
        "days.",
    )
    reuse_mapping: str | None = reuse()
    preserve_intervals: bool = key(
        "PreserveIntervals",
        Switch(),
        "One offset of whole days, never 0, for each scope of ReuseMapping, shared by DA and DT; TM and the time part "
        "of DT stay.",
        default=False,
    )

    @classmethod
    def check(cls, values: Values, report: Report) -> None:
        """Refuse ``PreserveIntervals`` without a scope that the offset is for."""
        if values["PreserveIntervals"] is True and values["ReuseMapping"] is None:
            report.error(values.at("PreserveIntervals"), "PreserveIntervals needs ReuseMapping")

    @property
    def repeatable(self) -> bool:
        """Where mappings keep the new values; others are derived from the instance and the path."""
        return self.reuse_mapping is not None

    def describe(self) -> str:
        """Return a sentence in plain English."""
        names = listed(self.tag_patterns, self.except_tag_patterns)
        if self.preserve_intervals:
            return (
                f"Moves the dates in {names} by one offset of up to {self.shift_by} days, {within(self.reuse_mapping)}."
            )
        return (
            f"Moves the dates in {names} by up to {self.shift_by} days, times and date-times by up to {self.shift_by} "
            f"seconds, {within(self.reuse_mapping)}."
        )

    def effect(self, tag: int, vr: str, present: bool) -> Effect:
        """Dates and times change."""
        moves = vr in _SHIFTS and not (self.preserve_intervals and vr == "TM")
        return Effect.CHANGES if present and moves else Effect.KEEPS

    def apply(self, element: ElementInWork) -> None:
        """Move every value; one that is no legal date or time is emptied, never passed through."""
        if element.vr not in _SHIFTS or (self.preserve_intervals and element.vr == "TM"):
            return
        element.replace_values(self._moved_by_offset if self.preserve_intervals else self._moved)

    def _moved(self, value: str, element: ElementInWork) -> str:
        """Return a value moved by a distance of its own."""
        shift = _SHIFTS[element.vr]
        if not value or not _is_legal(element.vr, value):
            return _emptied(value, element)

        def draw(random: bytes) -> str:
            distance = int.from_bytes(random) % (2 * self.shift_by + 1) - self.shift_by
            # At the ends of the calendar only one direction is left.
            return shift(value, distance) or shift(value, -distance) or ""

        return element.mapped(element.vr, self.reuse_mapping, value, draw)

    def _moved_by_offset(self, value: str, element: ElementInWork) -> str:
        """Return a value moved by the offset of its mapping scope."""
        if not value:
            return value
        shift = shift_da if element.vr == "DA" else shift_dt_days
        return shift(value, self.offset(element)) or _emptied(value, element)

    def offset(self, element: ElementInWork) -> int:
        """Return the days by which all dates of the mapping scope move; 0 while that has to be fetched."""
        return int(element.mapped("OFFSET", self.reuse_mapping, "", self._draw_offset) or 0)

    def _draw_offset(self, random: bytes) -> str:
        number = int.from_bytes(random) % (2 * self.shift_by)
        return str(number - self.shift_by if number < self.shift_by else number - self.shift_by + 1)


@lru_cache(maxsize=4096)
def _is_legal(vr: str, value: str) -> bool:
    """Tell whether a value is a legal date or time; most dates of a study come again in every instance."""
    return _SHIFTS[vr](value, 0) is not None


def _emptied(value: str, element: ElementInWork) -> str:
    if value:
        element.note("no legal date or time: emptied")
    return ""
