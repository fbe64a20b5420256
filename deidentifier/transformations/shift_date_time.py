"""``ShiftDateTime``."""

from __future__ import annotations

from typing import ClassVar

from common.tag_patterns import TagPattern
from common.yaml_file import Report
from common.yaml_kinds import Integer, Switch, Values
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

SECONDS_PER_DAY = 86_400


@transformation
class ShiftDateTime(Transformation):
    """Moves dates and times by a random offset.

    ``DA`` moves by days, ``TM`` and ``DT`` by seconds; precision, fractions and UTC offsets are kept, ``TM`` wraps
    within the day. Elements of other VRs and empty values are left alone. A value that is no legal date or time is
    emptied and reported, never passed through.
    """

    NAME: ClassVar[str] = "ShiftDateTime"

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
