"""Adding to the index and removing from it.

A series has a *base*: the values of its first instance, kept as facts of a dictionary. An instance keeps only where it
differs. Once no instance has a value of the base any more, the base changes, so that a value that left the archive
(a leak that was corrected, say) leaves the index with it.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2.extras import Json, execute_values

from common.database import Cursor, Database
from common.query.texts import number_of
from website.index.dictionary import SQL, Dictionary, add_facts
from website.index.document import IndexDocument, format_path, pack_id
from website.index.forms import META_UID, Texts, delta_of, paths_of, texts_key

MAX_BASES = 256
"""Bases of series that a process remembers."""
_LAST = 2**31 - 1
_INSTANCE_NUMBER = format_path((0x00200013,))
_ADD_INSTANCES = "INSERT INTO research.instance (orthanc, series, shape, number, delta) VALUES %s"

Base = dict[int, Texts]


@dataclass
class _Series:
    """A series while a batch is added: its number, its base, what the batch brings."""

    number: int
    base: Base
    added: int = 0
    mixed: frozenset[int] = frozenset()


class Writer:
    """Adds and removes, one transaction each; one writer at a time in the whole system, so none can disturb another."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dictionary = Dictionary(database)
        self._bases: OrderedDict[tuple[int, int], Base] = OrderedDict()

    def add(self, documents: Iterable[IndexDocument]) -> None:
        """Add instances, or replace those that are there; of two documents of one instance the last counts.

        Raises
        ------
        DatabaseUnavailableError
            PostgreSQL is away; nothing was added.
        """
        latest = list({document.ids.instance: document for document in documents}.values())
        if not latest:
            return
        paths = self._dictionary.paths(path for document in latest for path in document.texts)
        shapes = self._dictionary.shapes(document.shape for document in latest)
        values = [{paths[path]: list(texts) for path, texts in document.texts.items()} for document in latest]
        with self._database.transaction() as cursor:
            touched = _lock_and_remove(cursor, [document.ids.instance for document in latest])
            series = self._series(cursor, latest, values)
            rows = []
            for document, texts in zip(latest, values, strict=True):
                belongs = series[document.ids.series]
                delta = delta_of(belongs.base, texts)
                belongs.added += 1
                belongs.mixed |= paths_of(delta)
                packed = pack_id(document.ids.instance)
                body = json.dumps(delta, ensure_ascii=False, separators=(",", ":"))
                rows.append((packed, belongs.number, shapes[document.shape], _order(document), body))
            execute_values(cursor, _ADD_INSTANCES, rows, page_size=500)
            counted = [(each.number, each.added, sorted(each.mixed)) for each in series.values()]
            execute_values(cursor, SQL["count_added"], counted, page_size=500)
            _tidy(cursor, touched)

    def remove(self, instance_ids: Iterable[str]) -> None:
        """Remove instances by Orthanc's identifiers; those that are not there are no error."""
        with self._database.transaction() as cursor:
            _tidy(cursor, _lock_and_remove(cursor, list(instance_ids)))

    def _series(
        self, cursor: Cursor, documents: Sequence[IndexDocument], values: Sequence[dict[int, Texts]]
    ) -> dict[str, _Series]:
        """Find the series of some documents, and make those that are new, with the first document as base."""
        first: dict[str, tuple[IndexDocument, dict[int, Texts]]] = {}
        for document, texts in zip(documents, values, strict=True):
            first.setdefault(document.ids.series, (document, texts))
        packed = {pack_id(series): series for series in first}
        cursor.execute(SQL["find_series"], (list(packed),))
        found = {packed[bytes(orthanc)]: (number, revision) for orthanc, number, revision in cursor.fetchall()}
        bases = self._read_bases(cursor, list(found.values()))
        known = {series: _Series(key[0], bases[key]) for series, key in found.items()}
        new = [series for series in first if series not in known]
        if new:
            known.update(_make_series(cursor, {series: first[series] for series in new}))
        return known

    def _read_bases(self, cursor: Cursor, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Base]:
        """Return bases by series and revision, from memory where they are there."""
        missing = {key[0]: key for key in keys if key not in self._bases}
        if missing:
            read: dict[tuple[int, int], Base] = {key: {} for key in missing.values()}
            cursor.execute(SQL["read_bases"], (list(missing),))
            for number, path, texts in cursor.fetchall():
                read[missing[number]][path] = texts
            self._bases.update(read)
        bases = {key: self._bases[key] for key in keys}
        for key in keys:
            self._bases.move_to_end(key)
        while len(self._bases) > MAX_BASES:
            self._bases.popitem(last=False)
        return bases


def _order(document: IndexDocument) -> int:
    """Return what orders instances in their series: InstanceNumber, as far as it is one."""
    texts = document.texts.get(_INSTANCE_NUMBER) or ("",)
    number = number_of(texts[0])
    return _LAST if number is None or abs(number) > _LAST else int(number)


def _make_series(cursor: Cursor, first: dict[str, tuple[IndexDocument, dict[int, Texts]]]) -> dict[str, _Series]:
    """Make series with their studies and patients, and the bases with their facts."""
    ids = [document.ids for document, _ in first.values()]
    studies, patients = [pack_id(each.study) for each in ids], [pack_id(each.patient) for each in ids]
    cursor.execute(SQL["add_patients"], (patients,))
    cursor.execute(SQL["add_studies"], (studies, patients))
    cursor.execute(SQL["add_series"], ([pack_id(each.series) for each in ids], studies))
    packed = {pack_id(series): series for series in first}
    numbers = {packed[bytes(orthanc)]: number for orthanc, number, _ in cursor.fetchall()}
    bases = {
        series: {path: texts for path, texts in values.items() if path > META_UID}
        for series, (_, values) in first.items()
    }
    facts = add_facts(cursor, ((path, texts) for base in bases.values() for path, texts in base.items()))
    held = {
        series: [(path, facts[path, texts_key(texts)]) for path, texts in base.items()]
        for series, base in bases.items()
    }
    _hold(cursor, [(path, fact, numbers[series]) for series, each in held.items() for path, fact in each])
    rows = [(numbers[series], [fact for _, fact in each]) for series, each in held.items()]
    execute_values(cursor, "INSERT INTO research.series_base (series, facts) VALUES %s", rows, page_size=500)
    return {series: _Series(numbers[series], base) for series, base in bases.items()}


def _hold(cursor: Cursor, rows: list[tuple[int, int, int]]) -> None:
    execute_values(cursor, "INSERT INTO research.series_fact (path, fact, series) VALUES %s", rows, page_size=1000)


def _lock_and_remove(cursor: Cursor, instance_ids: Sequence[str]) -> list[int]:
    """Become the one writer until the transaction ends, and remove instances; returns the series that they were in."""
    cursor.execute(SQL["lock_and_remove_instances"], ([pack_id(each) for each in instance_ids],))
    removed = Counter(series for (series,) in cursor.fetchall())
    if removed:
        cursor.execute(SQL["count_removed"], (list(removed), list(removed.values())))
    return list(removed)


def _tidy(cursor: Cursor, series: list[int]) -> None:
    """Remove series that lost their last instance; change the bases of those that lost the last with some value."""
    if not series:
        return
    cursor.execute(SQL["find_emptied"], (series,))
    emptied = [number for (number,) in cursor.fetchall()]
    unheld: list[tuple[int, int]] = []
    if emptied:
        cursor.execute(SQL["remove_series_facts"], (emptied,))
        unheld += cursor.fetchall()
        cursor.execute(SQL["remove_series"], (emptied,))
        cursor.execute(SQL["remove_studies"], ([study for (study,) in cursor.fetchall()],))
        cursor.execute(SQL["remove_patients"], ([patient for (patient,) in cursor.fetchall()],))
    for number in set(series) - set(emptied):
        cursor.execute(SQL["orphaned_paths"], {"series": number})
        for (path,) in cursor.fetchall():
            unheld += _change_base(cursor, number, path)
    if unheld:
        cursor.execute(SQL["remove_facts"], ([path for path, _ in unheld], [fact for _, fact in unheld]))


def _change_base(cursor: Cursor, series: int, path: int) -> list[tuple[int, int]]:
    """Give a series the commonest value of its instances as base at a path; returns the fact that it had."""
    named: dict[str, Any] = {"series": series, "path": str(path)}
    cursor.execute(SQL["commonest_value"], named)
    (value,) = cursor.fetchone() or (None,)
    cursor.execute(SQL["drop_from_base"], {"series": series, "path": path})
    dropped = cursor.fetchone()
    new: list[int] = []
    if value is not None:
        new = list(add_facts(cursor, [(path, value)]).values())
        _hold(cursor, [(path, new[0], series)])
    old = dropped[0] if dropped else None
    cursor.execute(SQL["change_base"], {"series": series, "old": old, "new": new})
    keys = [f"{prefix}{path}" for prefix in ("", "f", "n", "d")]
    cursor.execute(SQL["forget_difference"], {**named, "keys": keys, "value": Json(value)})
    cursor.execute(SQL["change_series"], {**named, "number": path})
    return [(path, old)] if old is not None else []
