"""What the ingest side did over time, for the console's plots."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from common.database import Database, load_statements

_SQL = load_statements(Path(__file__).with_name("activity.sql"))


@dataclass(frozen=True)
class Span:
    """A stretch of time up to now, in equal steps."""

    name: str
    title: str
    unit: str
    length: timedelta
    step: timedelta
    form: str


LAST_HOUR = Span("hour", "last hour", "a minute", timedelta(hours=1), timedelta(minutes=1), "%H:%M")
LAST_WEEK = Span("week", "last week", "two hours", timedelta(days=7), timedelta(hours=2), "%d %b %H:%M")


@dataclass(frozen=True)
class Slot:
    """One step: its beginning, what ended in it, what waited at its end."""

    start: datetime
    done: int
    discarded: int
    stopped: int
    bytes: int
    waiting: int

    @property
    def finished(self) -> int:
        """Tasks that ended in this step."""
        return self.done + self.discarded + self.stopped


def read_activity(database: Database, span: Span) -> list[Slot]:
    """Return the steps of a span, the oldest first."""
    parameters = {"span": span.length, "step": span.step}
    with database.transaction() as cursor:
        cursor.execute(_SQL["finished"], parameters)
        finished = cursor.fetchall()
        cursor.execute(_SQL["backlog"], parameters)
        waiting = dict(cursor.fetchall())
    return [
        Slot(start, done, discarded, stopped, size, waiting.get(start, 0))
        for start, done, discarded, stopped, size in finished
    ]


def read_feeds(database: Database) -> list[dict[str, Any]]:
    """Return how far each change feed was read, and how many seconds ago."""
    return _read(database, "feed")


def read_rules(database: Database) -> dict[str, Any] | None:
    """Return the rules in force: digest, statement, what is wrong with a later edit; None before the first instance."""
    return next(iter(_read(database, "rules")), None)


def _read(database: Database, statement: str) -> list[dict[str, Any]]:
    with database.transaction() as cursor:
        cursor.execute(_SQL[statement])
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@dataclass(frozen=True)
class Bar:
    """A bar of a plot, in a box of 1000 × 200 units: measures and the text that a reader hears."""

    x: float
    y: float
    width: float
    height: float
    label: str


def draw_bars(values: list[int], labels: list[str]) -> list[Bar]:
    """Lay out a bar for each value; the largest is as high as the box."""
    top = max([1, *values])
    width = 1000 / max(1, len(values))
    return [
        Bar(number * width, 200 - 200 * value / top, max(width - 1, 1), 200 * value / top, f"{label}: {value}")
        for number, (value, label) in enumerate(zip(values, labels, strict=True))
    ]
