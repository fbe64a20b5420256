"""The dictionaries of the index: paths, shapes and facts, by their numbers."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from psycopg2.extras import execute_values, register_uuid

from common.database import Cursor, Database, load_statements
from website.index.forms import Texts, days_of, folded_of, key_of, numbers_of, sort_key_of, texts_key

register_uuid()  # type: ignore[no-untyped-call]  # psycopg2's stubs leave it untyped
SQL = load_statements(Path(__file__).parent / "writer.sql")
_ADD_FACTS = """INSERT INTO research.fact (path, key, texts, folded, numbers, days, sort_key) VALUES %s
ON CONFLICT DO NOTHING"""
MAX_SHAPES = 10_000
"""Shapes that a process remembers."""

Fact = tuple[int, Texts]


class Dictionary:
    """Numbers of paths and shapes, remembered by the process: neither holds a value, and none is ever removed.

    New ones are committed at once, so that what is remembered is true whatever becomes of the caller's transaction.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._paths: dict[str, int] = {}
        self._shapes: dict[str, int] = {}
        self._lock = threading.Lock()

    def paths(self, wanted: Iterable[str]) -> Mapping[str, int]:
        """Return the numbers of paths, new ones where there are none yet."""
        with self._lock:
            unknown = [path for path in set(wanted) if path not in self._paths]
            if unknown:
                with self._database.transaction() as cursor:
                    cursor.execute(SQL["add_paths"], (unknown,))
                    cursor.execute(SQL["find_paths"], (unknown,))
                    found = dict(cursor.fetchall())
                self._paths.update(found)
            return self._paths

    def shapes(self, wanted: Iterable[str]) -> Mapping[str, int]:
        """Return the numbers of shapes, new ones where there are none yet."""
        with self._lock:
            shapes = set(wanted)
            unknown = {key_of(shape): shape for shape in shapes if shape not in self._shapes}
            if unknown:
                with self._database.transaction() as cursor:
                    cursor.execute(SQL["add_shapes"], (list(unknown), list(unknown.values())))
                    cursor.execute(SQL["find_shapes"], (list(unknown),))
                    found = {unknown[key]: number for key, number in cursor.fetchall()}
                if len(self._shapes) > MAX_SHAPES:
                    self._shapes = {shape: number for shape, number in self._shapes.items() if shape in shapes}
                self._shapes.update(found)
            return dict(self._shapes) if len(self._shapes) < 100 else {shape: self._shapes[shape] for shape in shapes}


def add_facts(cursor: Cursor, facts: Iterable[Fact]) -> dict[tuple[int, uuid.UUID], int]:
    """Return the numbers of facts by path and key, new ones where there are none yet."""
    wanted = {(path, texts_key(texts)): texts for path, texts in facts}
    known = _find(cursor, wanted)
    missing = [(path, key, texts) for (path, key), texts in wanted.items() if (path, key) not in known]
    if missing:
        execute_values(cursor, _ADD_FACTS, [_row(*fact) for fact in missing], _TEMPLATE, page_size=1000)
        known.update(_find(cursor, {(path, key): texts for path, key, texts in missing}))
    return known


_TEMPLATE = "(%s, %s, %s::text[], %s::text[], %s::float8[], %s::integer[], %s)"


def _row(path: int, key: uuid.UUID, texts: Texts) -> tuple[object, ...]:
    return path, key, list(texts), folded_of(texts), numbers_of(texts), days_of(texts), sort_key_of(texts)


def _find(cursor: Cursor, wanted: Mapping[tuple[int, uuid.UUID], Texts]) -> dict[tuple[int, uuid.UUID], int]:
    cursor.execute(SQL["find_facts"], ([path for path, _ in wanted], [key for _, key in wanted]))
    return {(path, key): number for path, key, number in cursor.fetchall()}
