"""The permitted instances of a study or series, by UID: what every retrieval starts from.

A viewer asks for each frame by itself, so what was found is used again for a few seconds. It is kept under the query
tree of the access that it was found with: another user, or the same user after a change of permissions, finds it anew.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.database import Cursor, Database, load_statements
from common.errors import NotFoundError
from common.query import NOTHING, Node, conditions
from common.tags import TagPath
from website.index.document import format_path, unpack_id
from website.index.forms import META_UID, UID, texts_key
from website.index.pages import read_values
from website.index.sql import Plan, translate
from website.index.statements import with_verdict

SECONDS = 5.0
"""How long an instance that was deleted, or whose elements changed, may still be handed out under its old elements."""
_MOST = 200
_SQL = load_statements(Path(__file__).with_name("members.sql"))
_STUDY, _SERIES = (0x0020000D,), (0x0020000E,)
_SYNTAX, _CLASS, _FRAMES, _ROWS = (0x00020010,), (0x00080016,), (0x00280008,), (0x00280010,)
_READ: tuple[TagPath, ...] = (_SERIES, _SYNTAX, _CLASS, _FRAMES, _ROWS)


@dataclass(frozen=True)
class Member:
    """A permitted instance: Orthanc's identifiers, its UIDs, how its pixels are stored.

    Attributes
    ----------
    version
        Another one after the instance was replaced and indexed again.
    """

    id: str
    series_id: str
    series_uid: str
    uid: str
    sop_class: str
    transfer_syntax: str
    frames: int
    has_image: bool
    version: str


@dataclass(frozen=True)
class Members:
    """The permitted instances of a study or series, series by series, each by InstanceNumber; never empty."""

    instances: tuple[Member, ...]
    by_uid: Mapping[str, Member]

    def find(self, uid: str) -> Member:
        """Return one of them; raises ``NotFoundError`` for any other."""
        if uid not in self.by_uid:
            raise NotFoundError
        return self.by_uid[uid]

    def by_series(self) -> dict[str, list[Member]]:
        """Return them by Orthanc's identifier of the series."""
        found: dict[str, list[Member]] = {}
        for member in self.instances:
            found.setdefault(member.series_id, []).append(member)
        return found


def version_of(members: Iterable[Member]) -> str:
    """Return a text that changes with any of some instances, and with which they are."""
    digest = hashlib.blake2b(digest_size=12)
    for member in members:
        digest.update(f"{member.id}{member.version};".encode())
    return digest.hexdigest()


class PathNumbers:
    """Numbers of tag paths in the index; once there, a path keeps its number for good."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, cursor: Cursor, paths: Iterable[TagPath]) -> dict[str, int]:
        """Return the numbers of those paths that the index knows."""
        wanted = {format_path(path) for path in paths}
        missing = [path for path in wanted if path not in self._known]
        if missing:
            cursor.execute(_SQL["paths"], (missing,))
            self._known.update(cursor.fetchall())
        return {path: self._known[path] for path in wanted if path in self._known}

    def plan(self, cursor: Cursor, node: Node) -> Plan:
        """Translate a query."""
        return translate(node, self.of(cursor, (each.path for each in conditions(node))))


class MemberFinder:
    """Finds permitted instances by UID. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers = PathNumbers()
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Node, str, str], tuple[float, Members]] = OrderedDict()

    def find(self, node: Node, study: str, series: str = "") -> Members:
        """Return the instances of a study, or of one of its series, that match a query.

        Raises
        ------
        NotFoundError
            None does: nothing tells that apart from a study that does not exist.
        """
        key = (node, study, series)
        with self._lock:
            until, members = self._kept.get(key, (0.0, None))
            if members is not None and until > time.monotonic():
                return members
        members = self._read(node, study, series)
        with self._lock:
            self._kept[key] = (time.monotonic() + SECONDS, members)
            self._kept.move_to_end(key)
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        return members

    def _read(self, node: Node, study: str, series: str) -> Members:
        found: list[Member] = []
        if node != NOTHING:
            with self._database.transaction() as cursor:
                cursor.execute("SET LOCAL jit = off")  # compiling takes longer than running
                numbers = self._series(cursor, study, series)
                found = self._members(cursor, node, numbers) if numbers else []
        if not found:
            raise NotFoundError
        return Members(tuple(found), {member.uid: member for member in found})

    def _series(self, cursor: Cursor, study: str, series: str) -> list[int]:
        paths = self._numbers.of(cursor, [_STUDY, _SERIES])
        given = {
            "study_path": paths.get(format_path(_STUDY)),
            "study_key": str(texts_key([study])),
            "series_path": paths.get(format_path(_SERIES)),
            "series_key": str(texts_key([series])) if series else None,
        }
        cursor.execute(_SQL["series"], given)
        return [number for (number,) in cursor.fetchall()]

    def _members(self, cursor: Cursor, node: Node, series: list[int]) -> list[Member]:
        plan = self._numbers.plan(cursor, node)
        begin, values = with_verdict(plan, series)
        test, more = plan.instance
        columns = {number: path for path, number in self._columns(cursor).items()}
        cursor.execute(
            f"{begin} SELECT v.id, v.orthanc, i.orthanc, i.delta, i.xmin::text FROM verdict AS v"  # noqa: S608
            f" JOIN research.instance AS i ON i.series = v.id AND (v.must OR {test})"
            " ORDER BY v.id, i.number, i.orthanc",
            [*values, *more],
        )
        rows = cursor.fetchall()
        bases = read_values(cursor, list({row[0] for row in rows}), columns)
        return [self._member(row, bases[row[0]], columns) for row in rows]

    def _columns(self, cursor: Cursor) -> dict[TagPath, int]:
        numbers = self._numbers.of(cursor, _READ)
        return {path: numbers[format_path(path)] for path in _READ if format_path(path) in numbers}

    @staticmethod
    def _member(row: tuple[Any, ...], base: Mapping[TagPath, Any], columns: Mapping[int, TagPath]) -> Member:
        _, series_id, instance_id, delta, version = row
        own = {path: delta[str(number)] or [] for number, path in columns.items() if str(number) in delta}
        texts = {**base, **own}

        def first(path: TagPath) -> str:
            return str((texts.get(path) or [""])[0])

        uid = (delta.get(str(UID)) or delta.get(str(META_UID)) or [""])[0]
        frames = first(_FRAMES)
        return Member(
            unpack_id(instance_id), unpack_id(series_id), first(_SERIES), uid, first(_CLASS), first(_SYNTAX),
            int(frames) if frames.isdigit() else 1, bool(first(_ROWS)), version,
        )  # fmt: skip
