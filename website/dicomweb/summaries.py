"""What a search says of studies and series: computed over their permitted instances, and nothing else.

An attribute's value is that of a permitted instance, never of the base of its series, which may be that of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from common.database import Cursor, Database
from common.query import Node
from common.tags import TagPath
from website.dicomweb.members import PathNumbers
from website.index import Level
from website.index.document import format_path, pack_id, unpack_id
from website.index.pages import read_values
from website.index.statements import with_verdict

Texts = Mapping[TagPath, Sequence[str]]
_COLLECTED: tuple[TagPath, ...] = ((0x00080060,), (0x00080016,))
"""Modality and SOP class: a study has all those of its instances."""


@dataclass
class SeriesSummary:
    """A series: how many permitted instances, the texts of the first of them, and every text of :data:`_COLLECTED`."""

    id: str
    study_id: str
    instances: int
    texts: Texts
    collected: dict[TagPath, set[str]]


@dataclass
class StudySummary:
    """A study, by its permitted series."""

    id: str
    series: list[SeriesSummary] = field(default_factory=list)

    @property
    def instances(self) -> int:
        """How many permitted instances it has."""
        return sum(each.instances for each in self.series)

    def texts(self, path: TagPath) -> Sequence[str] | None:
        """Return the texts of an attribute in the first series that has a value."""
        found = [each.texts[path] for each in self.series if path in each.texts]
        return next((texts for texts in found if any(texts)), found[0] if found else None)

    def collect(self, path: TagPath) -> list[str]:
        """Return the different texts of Modality or SOP class."""
        return sorted(set().union(*(each.collected[path] for each in self.series)) - {""})


class Summaries:
    """Summarises studies and series. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers = PathNumbers()

    def studies(self, node: Node, ids: Sequence[str], paths: Sequence[TagPath]) -> dict[str, StudySummary]:
        """Return studies by Orthanc's identifier, with the texts of some attributes; ``node`` is the permission."""
        found: dict[str, StudySummary] = {}
        for series in self._summarise(node, "study", ids, paths):
            found.setdefault(series.study_id, StudySummary(series.study_id)).series.append(series)
        return found

    def series(self, node: Node, ids: Sequence[str], paths: Sequence[TagPath]) -> dict[str, SeriesSummary]:
        """Return series by Orthanc's identifier, with the texts of some attributes; ``node`` is the permission."""
        return {each.id: each for each in self._summarise(node, "series", ids, paths)}

    def _summarise(self, node: Node, level: Level, ids: Sequence[str], paths: Sequence[TagPath]) -> list[SeriesSummary]:
        with self._database.transaction() as cursor:
            cursor.execute("SET LOCAL jit = off")
            parent = "study.orthanc" if level == "study" else "series.orthanc"
            cursor.execute(
                "SELECT series.id FROM research.series JOIN research.study ON study.id = series.study"  # noqa: S608
                f" WHERE {parent} = ANY (%s)",
                (list(map(pack_id, ids)),),
            )
            return self._read(cursor, node, [number for (number,) in cursor.fetchall()], paths)

    def _read(self, cursor: Cursor, node: Node, series: list[int], paths: Sequence[TagPath]) -> list[SeriesSummary]:
        plan = self._numbers.plan(cursor, node)
        begin, values = with_verdict(plan, series)
        test, more = plan.instance
        permitted = f"research.instance AS i WHERE i.series = v.id AND (v.must OR {test})"
        cursor.execute(
            f"{begin} SELECT v.id, v.orthanc, study.orthanc, v.mixed, counted.n, first.delta FROM verdict AS v"  # noqa: S608
            " JOIN research.study ON study.id = v.study"
            f" CROSS JOIN LATERAL (SELECT count(*) AS n FROM {permitted}) AS counted"
            f" CROSS JOIN LATERAL (SELECT i.delta FROM {permitted} ORDER BY i.number, i.orthanc LIMIT 1) AS first"
            " ORDER BY v.study, v.id",
            [*values, *more, *more],
        )
        rows = cursor.fetchall()
        numbers = self._numbers.of(cursor, [*paths, *_COLLECTED])
        columns = {numbers[format_path(path)]: path for path in [*paths, *_COLLECTED] if format_path(path) in numbers}
        bases = read_values(cursor, [row[0] for row in rows], columns)
        found = {row[0]: _summary(row, bases[row[0]], columns) for row in rows}
        for number, path in columns.items():
            mixed = [row[0] for row in rows if path in _COLLECTED and number in row[3]]
            if mixed:
                self._collect(cursor, node, mixed, number, path, found)
        return list(found.values())

    def _collect(
        self, cursor: Cursor, node: Node, series: list[int], number: int, path: TagPath, found: dict[int, SeriesSummary]
    ) -> None:
        """Read every text at a path of the permitted instances of series that do not agree there."""
        plan = self._numbers.plan(cursor, node)
        begin, values = with_verdict(plan, series)
        test, more = plan.instance
        base = read_values(cursor, series, {number: path})
        cursor.execute(
            f"{begin} SELECT DISTINCT v.id, i.delta ? '{number}', i.delta -> '{number}' FROM verdict AS v"  # noqa: S608
            f" JOIN research.instance AS i ON i.series = v.id AND (v.must OR {test})",
            [*values, *more],
        )
        for one, own, texts in cursor.fetchall():
            found[one].collected[path] |= set((texts or []) if own else base[one].get(path, ()))


def _summary(row: tuple[Any, ...], base: Texts, columns: Mapping[int, TagPath]) -> SeriesSummary:
    _, series_id, study_id, mixed, instances, delta = row
    own = {path: delta[str(number)] for number, path in columns.items() if str(number) in delta}
    texts = {path: each for path, each in {**base, **own}.items() if each is not None}
    agreed = {path for number, path in columns.items() if number not in mixed}
    collected: dict[TagPath, set[str]] = {path: set() for path in _COLLECTED}
    collected |= {path: set(texts.get(path, ())) for path in agreed & collected.keys()}
    return SeriesSummary(unpack_id(series_id), unpack_id(study_id), int(instances), texts, collected)
