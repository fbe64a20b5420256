"""Bar charts as numbers that a template draws as SVG: no script, no inline style, readable by a screen reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

_WIDTH = 560
_ROW = 24
_LABELS = 130
_YEARS_WIDTH = 960
_YEARS_HEIGHT = 120
_MARGIN = 16  # half a label


@dataclass(frozen=True)
class Bar:
    """One bar; coordinates in the units of the plot's view box."""

    label: str
    count: int
    x: float
    y: float
    width: float
    height: float
    labelled: bool = True
    url: str = ""


@dataclass(frozen=True)
class Plot:
    """Bars in a box of ``width`` by ``height``."""

    bars: tuple[Bar, ...]
    width: int
    height: int
    label_width: int = 0
    upright: bool = False

    def linked(self, url: Callable[[Bar], str]) -> Plot:
        """Return the same plot with bars that lead somewhere."""
        return replace(self, bars=tuple(replace(bar, url=url(bar)) if bar.count else bar for bar in self.bars))

    @property
    def summary(self) -> str:
        """Say in words what the bars show."""
        return ", ".join(f"{bar.label} {bar.count:,}" for bar in self.bars)


def ranking(counts: Iterable[tuple[str, int]]) -> Plot | None:
    """Draw one horizontal bar per value, as given; None where there is nothing to draw."""
    rows = [(label or "(empty)", count) for label, count in counts]
    if not rows:
        return None
    largest = max(count for _, count in rows)
    room = _WIDTH - _LABELS - 90  # the number stands behind the bar
    bars = tuple(
        Bar(label, count, _LABELS, row * _ROW + 3, round(max(2.0, room * count / largest), 1), _ROW - 7)
        for row, (label, count) in enumerate(rows)
    )
    return Plot(bars, _WIDTH, len(rows) * _ROW + 4, _LABELS)


def by_year(dates: Iterable[tuple[str, int]]) -> Plot | None:
    """Draw one upright bar per year of DICOM dates (``YYYYMMDD``); None below two years, which say nothing."""
    years: Counter[int] = Counter()
    for date, count in dates:
        if len(date) == 8 and date.isdigit():
            years[int(date[:4])] += count
    if len(years) < 2:
        return None
    span: Sequence[int] = range(min(years), max(years) + 1)
    if len(span) > 120:
        return None
    return _upright([(str(year), years[year]) for year in span])


def _upright(rows: list[tuple[str, int]]) -> Plot:
    largest = max(count for _, count in rows)
    step = min((_YEARS_WIDTH - 2 * _MARGIN) / len(rows), 80)
    every = max(1, round(44 / step + 0.4))  # a label needs 44 units
    bars = []
    for place, (label, count) in enumerate(rows):
        height = round((_YEARS_HEIGHT - 26) * count / largest, 1)
        x, y = round(_MARGIN + place * step + step * 0.1, 1), round(_YEARS_HEIGHT - 18 - height, 1)
        bars.append(Bar(label, count, x, y, round(step * 0.8, 1), height, place % every == 0))
    return Plot(tuple(bars), _YEARS_WIDTH, _YEARS_HEIGHT, upright=True)
