"""A page of studies, series or instances, by keyset: it costs the same wherever it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from common.database import Cursor
from common.tags import TagPath, parse_tag_path
from website.index.document import format_path, pack_id, unpack_id
from website.index.forms import META_UID, UID
from website.index.sql import Plan
from website.index.statements import read_cursor, values_at, with_matched, with_verdict, write_cursor

Level = Literal["study", "series", "instance"]

# Where there is no value to sort by, a resource comes last, in either direction.
_LAST = {True: "", False: "~"}
_INSTANCE_NUMBER = format_path((0x00200013,))


@dataclass(frozen=True)
class Counts:
    """How many of each level match: an instance does, or holds one that does."""

    patients: int
    studies: int
    series: int
    instances: int


@dataclass(frozen=True)
class Row:
    """A study, a series or an instance.

    Parameters
    ----------
    patient, study, series, instance
        Orthanc's identifiers, down to the level.
    series_count, instance_count
        How many of it match.
    values
        The texts of the columns asked for, of those that are present; of a study, those of its first series.
    """

    patient: str
    study: str
    series: str | None
    instance: str | None
    series_count: int
    instance_count: int
    values: Mapping[TagPath, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """Some rows, and the cursor of the page after them; None at the end."""

    rows: list[Row]
    next: str | None


@dataclass(frozen=True)
class _Sort:
    """An order: by the number of a path (0: none), descending or not."""

    path: int
    descending: bool

    @property
    def last(self) -> str:
        return f"'{_LAST[self.descending]}'"

    @property
    def key(self) -> str:
        return f"coalesce(sorted.sort_key, {self.last})" if self.path else self.last

    @property
    def key_of_study(self) -> str:
        choose = "max" if self.descending else "min"
        return f"coalesce({choose}(sorted.sort_key), {self.last})" if self.path else self.last

    @property
    def join(self) -> str:
        return f" LEFT JOIN {values_at(self.path)} AS sorted ON sorted.series = m.id" if self.path else ""

    @property
    def direction(self) -> str:
        return "DESC" if self.descending else "ASC"

    @property
    def beyond(self) -> str:
        return "<" if self.descending else ">"


def parse_sort(sort: str, paths: Mapping[str, int], level: Level) -> _Sort:
    """Read ``Tag`` or ``-Tag`` (descending); instances always follow InstanceNumber inside their series.

    Raises
    ------
    ValueError
        There is no such keyword.
    """
    path = format_path(parse_tag_path(sort.removeprefix("-"))) if sort.removeprefix("-") else ""
    known = 0 if level == "instance" and path == _INSTANCE_NUMBER else paths.get(path, 0)
    return _Sort(0 if known in (UID, META_UID) else known, sort.startswith("-"))


def read_counts(cursor: Cursor, plan: Plan) -> Counts:
    """Count what matches."""
    begin, values = with_matched(plan)
    cursor.execute(f"{begin}, counted AS ({_COUNTED}) SELECT {_COUNTS} FROM counted", values)  # noqa: S608
    return _counts(cursor.fetchone() or (0, 0, 0, 0))


def read_page(
    cursor: Cursor, plan: Plan, level: Level, sort: _Sort, after: str, limit: int, columns: Mapping[int, TagPath]
) -> tuple[Counts, Page]:
    """Read the page after a cursor (empty: the first), and count what matches on the way."""
    if level == "instance":
        return _instances(cursor, plan, sort, after, limit, columns)
    return _groups(cursor, plan, level, sort, after, limit, columns)


# By study first: that is hashing and needs no sort of all series.
_BY_STUDY = "SELECT study AS id, min(patient) AS patient, count(*) AS found, sum(n) AS n FROM matched GROUP BY study"
_TOTALS = "count(DISTINCT patient) AS patients, count(*) AS studies, sum(found) AS series, sum(n) AS instances"
_COUNTED = f"SELECT {_TOTALS} FROM ({_BY_STUDY}) AS by_study"  # noqa: S608
_COUNTS = "counted.patients, counted.studies, counted.series, counted.instances"


def _counts(row: tuple[Any, ...]) -> Counts:
    return Counts(*(int(number or 0) for number in row[:4]))


def _groups(
    cursor: Cursor, plan: Plan, level: Level, sort: _Sort, after: str, limit: int, columns: Mapping[int, TagPath]
) -> tuple[Counts, Page]:
    begin, values = with_matched(plan)
    if level == "study":
        grouped = f"m.study AS id, min(m.patient) AS patient, {sort.key_of_study} AS key, min(m.id) AS series,"
        grouped, group = f"{grouped} count(*) AS found, sum(m.n) AS n", " GROUP BY m.study"
        counted = f"SELECT {_TOTALS} FROM row"  # noqa: S608
    else:
        grouped, group, counted = f"m.id, {sort.key} AS key, m.id AS series, 1 AS found, m.n", "", _COUNTED
    position = read_cursor(after, (str, int)) if after else ()
    only = f'WHERE (row.key, row.id) {sort.beyond} (%s COLLATE "C", %s)' if position else ""
    order = f"row.key {sort.direction}, row.id {sort.direction}"
    cursor.execute(
        f"{begin}, row AS MATERIALIZED (SELECT {grouped} FROM matched AS m{sort.join}{group}), counted AS ({counted}),"  # noqa: S608
        f" chosen AS (SELECT * FROM row {only} ORDER BY {order} LIMIT %s)"
        f" SELECT {_COUNTS}, row.key, row.id, row.series, row.found, row.n, row.of_series, row.of_study, row.of_patient"
        " FROM counted LEFT JOIN (SELECT row.*, series.orthanc AS of_series, study.orthanc AS of_study,"
        " patient.orthanc AS of_patient FROM chosen AS row JOIN research.series ON series.id = row.series"
        " JOIN research.study ON study.id = series.study JOIN research.patient ON patient.id = series.patient) AS row"
        f" ON true ORDER BY {order}",
        [*values, *position, limit + 1],
    )
    answer = cursor.fetchall()
    found = [each[4:] for each in answer if each[5] is not None]
    shown = _values_of_matching(cursor, plan, [each[2] for each in found[:limit]], columns)
    rows = [
        Row(
            unpack_id(patient),
            unpack_id(study),
            unpack_id(series) if level == "series" else None,
            None,
            count,
            int(n),
            shown[number],
        )
        for _, _, number, count, n, series, study, patient in found[:limit]
    ]
    following = write_cursor(found[limit - 1][0], found[limit - 1][1]) if len(found) > limit else None
    return _counts(answer[0]), Page(rows, following)


def _instances(
    cursor: Cursor, plan: Plan, sort: _Sort, after: str, limit: int, columns: Mapping[int, TagPath]
) -> tuple[Counts, Page]:
    position = read_cursor(after, (str, int, int, str)) if after else ()
    counts, chosen = _series_after(cursor, plan, sort, position[:2], limit)
    begin, values = with_verdict(plan, list(chosen))
    test, more = plan.instance
    only, here = "", list[Any]()
    if position:
        only = f" AND (v.id <> %s OR (i.number, i.orthanc) {sort.beyond} (%s, %s))"
        here = [position[1], position[2], pack_id(position[3])]
    order = f"given.at, i.number {sort.direction}, i.orthanc {sort.direction}"
    cursor.execute(
        f"{begin} SELECT v.id, i.number, i.orthanc, i.delta, v.orthanc, study.orthanc, patient.orthanc"  # noqa: S608
        " FROM unnest(%s::integer[]) WITH ORDINALITY AS given (series, at) JOIN verdict AS v ON v.id = given.series"
        f" JOIN research.instance AS i ON i.series = v.id AND (v.must OR {test}){only}"
        " JOIN research.study ON study.id = v.study JOIN research.patient ON patient.id = v.patient"
        f" ORDER BY {order} LIMIT %s",
        [*values, list(chosen), *more, *here, limit + 1],
    )
    found = cursor.fetchall()
    bases = read_values(cursor, list({each[0] for each in found}), columns)
    rows = [
        Row(
            unpack_id(patient), unpack_id(study), unpack_id(series), unpack_id(orthanc), 1, 1,
            {**bases[number], **_own_values(delta, columns)},
        )
        for number, _, orthanc, delta, series, study, patient in found[:limit]
    ]  # fmt: skip
    if len(found) <= limit:
        return counts, Page(rows, None)
    last = found[limit - 1]
    return counts, Page(rows, write_cursor(chosen[last[0]], last[0], last[1], unpack_id(last[2])))


def _series_after(
    cursor: Cursor, plan: Plan, sort: _Sort, position: tuple[Any, ...], limit: int
) -> tuple[Counts, dict[int, str]]:
    """Count what matches; return the series, in order, that a page of instances lies in, with their sort keys."""
    begin, values = with_matched(plan)
    order = f"row.key {sort.direction}, row.id {sort.direction}"
    only = f'WHERE (row.key, row.id) {sort.beyond}= (%s COLLATE "C", %s)' if position else ""
    cursor.execute(
        f"{begin}, row AS (SELECT m.id, {sort.key} AS key, m.n FROM matched AS m{sort.join}), counted AS ({_COUNTED}),"  # noqa: S608
        f" chosen AS (SELECT * FROM row {only} ORDER BY {order} LIMIT %s)"
        f" SELECT {_COUNTS}, row.id, row.key, row.n FROM counted LEFT JOIN chosen AS row ON true ORDER BY {order}",
        [*values, *position, limit + 2],
    )
    answer = cursor.fetchall()
    chosen: dict[int, str] = {}
    enough = 0
    for number, key, n in (each[4:] for each in answer if each[4] is not None):
        chosen[number] = key
        # Of the series in which the page before ended, nothing may be left.
        enough += 0 if position and number == position[1] else n
        if enough > limit:
            break
    return _counts(answer[0]), chosen


def _values_of_matching(
    cursor: Cursor, plan: Plan, series: list[int], columns: Mapping[int, TagPath]
) -> dict[int, dict[TagPath, Sequence[str]]]:
    """Return the texts of some paths in an instance of each series that matches: the base may be one that does not.

    A permission is part of the query, so the base may be what its user must not see.
    """
    found = read_values(cursor, series, columns)
    if plan.certain or not columns or not series:
        return found
    begin, values = with_verdict(plan, series)
    test, more = plan.instance
    cursor.execute(
        f"{begin} SELECT v.id, first.delta FROM verdict AS v CROSS JOIN LATERAL (SELECT i.delta"  # noqa: S608
        f" FROM research.instance AS i WHERE i.series = v.id AND {test} ORDER BY i.number, i.orthanc LIMIT 1)"
        " AS first WHERE NOT v.must AND v.mixed && %s::integer[]",
        [*values, *more, list(columns)],
    )
    for number, delta in cursor.fetchall():
        found[number].update(_own_values(delta, columns))
    return found


def read_values(
    cursor: Cursor, series: list[int], columns: Mapping[int, TagPath]
) -> dict[int, dict[TagPath, Sequence[str]]]:
    """Return the texts of some paths in the bases of some series."""
    found: dict[int, dict[TagPath, Sequence[str]]] = {number: {} for number in series}
    if columns and series:
        cursor.execute(
            "SELECT base.series, fact.path, fact.texts FROM research.series_base AS base CROSS JOIN unnest(base.facts)"
            " AS held JOIN research.fact ON fact.id = held WHERE base.series = ANY (%s) AND fact.path = ANY (%s)",
            (series, list(columns)),
        )
        for number, path, texts in cursor.fetchall():
            found[number][columns[path]] = texts
    return found


def _own_values(delta: dict[str, Any], columns: Mapping[int, TagPath]) -> dict[TagPath, Sequence[str]]:
    """Return the texts that an instance has of its own; an element that it lacks has none."""
    own = {}
    for path, name in columns.items():
        key = str(UID if path == META_UID and str(META_UID) not in delta else path)
        if key in delta:
            own[name] = delta[key] or []
    return own
