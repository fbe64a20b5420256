"""Bar charts as numbers that a template draws as SVG: no script, no inline style, readable by a screen reader."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

_ROW = 24
_LABELS = 110
_LONGEST = 48  # per cent: label and number keep their room on a phone
_YEARS_HEIGHT = 120
_MARGIN = 2  # per cent: about half a label
_PER_LABEL, _PER_LABEL_ON_PHONE = 4.6, 13.0


@dataclass(frozen=True)
class Bar:
    """One bar: lengths along the plot's width in per cent of it, the rest in pixels, so that text keeps its size.

    Attributes
    ----------
    labelled, marked
        Whether there is room for its label, and whether there is on a phone.
    """

    label: str
    count: int
    x: float
    y: float
    width: float
    height: float
    labelled: bool = True
    marked: bool = True
    url: str = ""


@dataclass(frozen=True)
class Plot:
    """Bars in a box of ``height`` pixels, as wide as there is room."""

    bars: tuple[Bar, ...]
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
    bars = tuple(
        Bar(label, count, _LABELS, row * _ROW + 3, round(max(0.4, _LONGEST * count / largest), 2), _ROW - 7)
        for row, (label, count) in enumerate(rows)
    )
    return Plot(bars, len(rows) * _ROW + 4, _LABELS)


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
    step = min((100 - 2 * _MARGIN) / len(rows), 8)
    every = max(1, round(_PER_LABEL / step + 0.4))
    on_phone = every * math.ceil(_PER_LABEL_ON_PHONE / (every * step))
    bars = []
    for place, (label, count) in enumerate(rows):
        height = round((_YEARS_HEIGHT - 26) * count / largest, 1)
        x, y = round(_MARGIN + place * step + step * 0.1, 2), round(_YEARS_HEIGHT - 18 - height, 1)
        bars.append(Bar(label, count, x, y, round(step * 0.8, 2), height, place % every == 0, place % on_phone == 0))
    return Plot(tuple(bars), _YEARS_HEIGHT, upright=True)
