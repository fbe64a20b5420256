"""Documents put together again from what is stored: the base of a series, and what an instance has of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common.database import Cursor
from website.index.document import IndexDocument, InstanceIds, unpack_id
from website.index.forms import META_UID, UID

_INSTANCES = """SELECT i.orthanc, series.orthanc, study.orthanc, patient.orthanc, i.series, i.delta,
  CASE WHEN %(whole)s THEN shape.body END
FROM research.instance AS i JOIN research.series ON series.id = i.series JOIN research.study ON study.id = series.study
JOIN research.patient ON patient.id = series.patient JOIN research.shape ON shape.id = i.shape
WHERE i.orthanc = ANY (%(packed)s)"""
_BASES = """SELECT base.series, fact.path, fact.texts FROM research.series_base AS base CROSS JOIN
  unnest(base.facts) AS held JOIN research.fact ON fact.id = held
WHERE base.series = ANY (%(series)s) AND (%(paths)s::integer[] IS NULL OR fact.path = ANY (%(paths)s::integer[]))"""


def read_documents(cursor: Cursor, packed: list[bytes], wanted: Mapping[str, int] | None) -> Iterator[IndexDocument]:
    """Read some instances and yield their documents, in no order; those that are not there are left out.

    All is read at once, but the documents are made one by one: that takes no connection.

    Parameters
    ----------
    packed
        Orthanc's identifiers of the instances, as :func:`~website.index.document.pack_id` makes them.
    wanted
        Paths of the elements whose values are wanted, with the numbers the index knows them by; None for all, with
        the trees of elements.
    """
    cursor.execute(_INSTANCES, {"packed": packed, "whole": wanted is None})
    rows = cursor.fetchall()
    numbers = None if wanted is None else list(wanted.values())
    cursor.execute(_BASES, {"series": list({row[4] for row in rows}), "paths": numbers})
    bases: dict[int, dict[int, list[str]]] = {row[4]: {} for row in rows}
    for number, path, texts in cursor.fetchall():
        bases[number][path] = texts
    if wanted is not None:
        names = {number: path for path, number in wanted.items()}
    else:
        names = _names(cursor, {path for base in bases.values() for path in base} | _paths_in(rows))
    return (
        IndexDocument(InstanceIds(*map(unpack_id, row[:4])), _texts(bases[row[4]], row[5], names), row[6] or "[]")
        for row in rows
    )


def _names(cursor: Cursor, numbers: set[int]) -> dict[int, str]:
    cursor.execute("SELECT id, path FROM research.path WHERE id = ANY (%s)", (list(numbers),))
    return dict(cursor.fetchall())


def _paths_in(rows: Sequence[tuple[Any, ...]]) -> set[int]:
    return {UID, META_UID} | {int(key) for row in rows for key in row[5] if key.isdigit()}


def _texts(
    base: Mapping[int, list[str]], delta: Mapping[str, list[str] | None], names: Mapping[int, str]
) -> dict[str, tuple[str, ...]]:
    """Put an instance together: the base of its series, then what it has of its own."""
    own = {int(key): texts for key, texts in delta.items() if key.isdigit()}
    whole: dict[int, list[str] | None] = {**base, **own}
    whole.setdefault(META_UID, whole.get(UID))
    return {names[path]: tuple(texts) for path, texts in whole.items() if texts is not None and path in names}
