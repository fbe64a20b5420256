"""The index of the research archive: one object, safe to share between threads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg2.errors

from common.database import Cursor, Database
from common.errors import NotFoundError, SearchTimeoutError
from common.query import EVERYTHING, Node, conditions, match
from common.query.texts import clean, fold
from common.tags import TagPath, keyword_of, parse_tag_path
from website.index.document import IndexDocument, InstanceIds, format_path, pack_id, unpack_id
from website.index.facets import FacetValue, read_facets
from website.index.pages import Counts, Level, Page, parse_sort, read_counts, read_page
from website.index.predicates import like_pattern
from website.index.sql import Plan, translate
from website.index.statements import with_matched, with_verdict
from website.index.stored_documents import read_documents
from website.index.writer import Writer

# Memory for the hashed subplans and sorts of one search; PostgreSQL's default (4 MB) is too little for millions of
# instances. Compiling a statement takes longer than running it. PostgreSQL cannot foresee how many series a query
# leaves, and sorts whole elements to merge them where it should hash.
_PREPARE = """SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL enable_mergejoin = off;
SET LOCAL statement_timeout = %s"""
_SERIES_AT_ONCE = 20


@dataclass(frozen=True)
class Hit:
    """A matching instance: its place among the instances of its series (from 1), its document on request."""

    ids: InstanceIds
    index_in_series: int
    document: IndexDocument | None = None


class Index:
    """What is in the research archive, to add to, remove from, and search.

    Parameters
    ----------
    database
        With the schema ``research``.
    timeout
        Seconds that a statement of a search may take.
    """

    def __init__(self, database: Database, *, timeout: float = 20.0) -> None:
        self._database = database
        self._timeout = timeout
        self._writer = Writer(database)
        self._numbers: dict[str, int] = {}

    def add(self, documents: Iterable[IndexDocument]) -> None:
        """Add or replace instances, all or none; raises ``DatabaseUnavailableError``."""
        self._writer.add(documents)

    def remove(self, instance_ids: Iterable[str]) -> None:
        """Remove instances by Orthanc's identifiers, all or none; those that are not there are no error."""
        self._writer.remove(instance_ids)

    def count(self, node: Node) -> Counts:
        """Count what matches.

        Raises
        ------
        SearchTimeoutError
            It takes too long.
        """
        with self._search() as cursor:
            return read_counts(cursor, self._plan(cursor, node))

    def page(
        self,
        node: Node,
        level: Level = "study",
        sort: str = "",
        after: str = "",
        limit: int = 50,
        columns: Sequence[str | TagPath] = (),
        within: tuple[Level, str] | None = None,
    ) -> Page:
        """Return a page of what matches: see :meth:`search`."""
        return self.search(node, level, sort, after, limit, columns, within)[1]

    def search(
        self,
        node: Node,
        level: Level = "study",
        sort: str = "",
        after: str = "",
        limit: int = 50,
        columns: Sequence[str | TagPath] = (),
        within: tuple[Level, str] | None = None,
    ) -> tuple[Counts, Page]:
        """Count what matches and return a page of it, ordered by a tag (``-`` before it: descending), then by arrival.

        The order is that of the values of whole series; instances follow InstanceNumber inside their series. One
        statement does both: count and page are of the same moment, and what matches is found out once.

        Parameters
        ----------
        after
            ``next`` of the page before; empty for the first.
        columns
            Tags whose texts each row brings.
        within
            ``study`` or ``series`` with an identifier of Orthanc: nothing outside it is looked at.

        Raises
        ------
        QueryError
            ``after`` is not of a page.
        ValueError
            There is no such keyword.
        SearchTimeoutError
            It takes too long.
        """
        with self._search() as cursor:
            plan = self._plan(cursor, node)
            if within is not None:
                plan.series = _series_of(cursor, *within)
            wanted = [parse_tag_path(each) if isinstance(each, str) else each for each in columns]
            order = parse_sort(sort, self._paths(cursor, [_tag_text(sort)] if _tag_text(sort) else []), level)
            numbers = self._paths(cursor, map(format_path, wanted))
            shown = {numbers[format_path(each)]: each for each in wanted if format_path(each) in numbers}
            return read_page(cursor, plan, level, order, after, limit, shown)

    def facets(
        self, node: Node, tags: Sequence[str | TagPath], limit: int | Sequence[int] = 10
    ) -> dict[str | TagPath, list[FacetValue]]:
        """Return the commonest values of some tags among what matches; raises as :meth:`count` does.

        ``limit`` says how many, of each tag by itself where it is a sequence.
        """
        with self._search() as cursor:
            texts = {tag: format_path(parse_tag_path(tag) if isinstance(tag, str) else tag) for tag in tags}
            numbers = self._paths(cursor, texts.values())
            limits = [limit] * len(tags) if isinstance(limit, int) else limit
            most = {numbers[texts[tag]]: each for tag, each in zip(tags, limits, strict=True) if texts[tag] in numbers}
            found = read_facets(cursor, self._plan(cursor, node), most)
        return {tag: found[numbers[text]] if text in numbers else [] for tag, text in texts.items()}

    def suggest_tags(self, prefix: str, limit: int = 20) -> list[str]:
        """Return the tags in the index whose keyword begins with a text, ignoring case; sequences' items as paths."""
        with self._search() as cursor:
            cursor.execute("SELECT path FROM research.path ORDER BY length(path), path")
            paths = [tuple(int(tag, 16) for tag in text.split(".")) for (text,) in cursor.fetchall()]
        names = [".".join(keyword_of(tag) or f"{tag:08X}" for tag in path) for path in paths]
        begins = [name for name in names if name.lower().startswith(prefix.lower())]
        inside = [name for name in names if f".{prefix}".lower() in name.lower() and name not in begins]
        return (begins + inside)[:limit]

    def suggest_values(
        self, tag: str | TagPath, prefix: str, node: Node = EVERYTHING, limit: int = 20
    ) -> list[FacetValue]:
        """Return the commonest values of a tag that begin with a text, ignoring case, among what matches a query."""
        with self._search() as cursor:
            path = format_path(parse_tag_path(tag) if isinstance(tag, str) else tag)
            number = self._paths(cursor, [path]).get(path)
            if number is None:
                return []
            begin = fold(clean(prefix))
            found = read_facets(cursor, self._plan(cursor, node), {number: 1000}, like_pattern(begin) + "%")[number]
        return [each for each in found if fold(each.value).startswith(begin)][:limit]

    def document(self, instance_id: str) -> IndexDocument:
        """Return an instance's document, whole.

        Raises
        ------
        NotFoundError
            It is not in the index.
        """
        found = self._documents([pack_id(instance_id)], None)
        if not found:
            raise NotFoundError("the index has no such instance")
        return found[0]

    def documents(self, instance_ids: Iterable[str], only: Collection[TagPath] | None = None) -> list[IndexDocument]:
        """Return the documents of some instances, in no order; those that are not there are left out.

        Parameters
        ----------
        only
            The elements whose values are wanted, for whoever needs no tree of elements: a tenth of the time.
        """
        return self._documents([pack_id(each) for each in instance_ids], only)

    def permitted(self, instance_id: str, node: Node) -> bool:
        """Tell whether an instance is in the index and matches a query."""
        try:
            return match(node, self.document(instance_id))
        except (NotFoundError, ValueError):
            return False

    def instances(
        self, node: Node, *, documents: bool = False, only: Collection[TagPath] | None = None
    ) -> Iterator[Hit]:
        """Iterate over what matches, series by series, in bounded memory; raises as :meth:`count` does.

        ``documents`` and ``only`` say what of each comes along, as in :meth:`documents`.
        """
        with self._search() as cursor:
            begin, values = with_matched(self._plan(cursor, node))
            cursor.execute(f"{begin} SELECT id FROM matched ORDER BY study, id", values)  # noqa: S608
            series = [number for (number,) in cursor.fetchall()]
        for at in range(0, len(series), _SERIES_AT_ONCE):
            yield from self._hits(node, series[at : at + _SERIES_AT_ONCE], documents, only)

    def generation(self) -> int:
        """Return a number that every change raises: what was read holds while it stays."""
        return int(self._database.call("SELECT number FROM research.index_generation")[0][0])

    def count_instances(self) -> int:
        """Count all instances."""
        return self.count(EVERYTHING).instances

    def instance_ids(self) -> Iterator[str]:
        """Iterate over Orthanc's identifiers of all instances."""
        after = b""
        while True:
            with self._search() as cursor:
                cursor.execute(
                    "SELECT orthanc FROM research.instance WHERE orthanc > %s ORDER BY orthanc LIMIT 10000", (after,)
                )
                found = [bytes(orthanc) for (orthanc,) in cursor.fetchall()]
            if not found:
                return
            yield from map(unpack_id, found)
            after = found[-1]

    def _hits(self, node: Node, series: list[int], documents: bool, only: Collection[TagPath] | None) -> list[Hit]:
        with self._search() as cursor:
            plan = self._plan(cursor, node)
            begin, values = with_verdict(plan, series)
            test, more = plan.instance
            cursor.execute(
                f"{begin} SELECT i.orthanc, v.orthanc, study.orthanc, patient.orthanc, i.place FROM verdict AS v"  # noqa: S608
                " CROSS JOIN LATERAL (SELECT i.*, row_number() OVER (ORDER BY number, orthanc) AS place"
                " FROM research.instance AS i WHERE i.series = v.id OFFSET 0) AS i JOIN research.study ON"
                " study.id = v.study JOIN research.patient ON patient.id = v.patient"
                f" WHERE v.must OR {test} ORDER BY v.study, v.id, i.place",
                [*values, *more],
            )
            rows = [(tuple(map(unpack_id, row[:4])), row[4], bytes(row[0])) for row in cursor.fetchall()]
        found: dict[str, IndexDocument] = {}
        if documents:
            found = {document.ids.instance: document for document in self._documents([row[2] for row in rows], only)}
        hits = (Hit(InstanceIds(*ids), place, found.get(ids[0])) for ids, place, _ in rows)
        return [hit for hit in hits if hit.document or not documents]

    def _documents(self, packed: list[bytes], only: Collection[TagPath] | None) -> list[IndexDocument]:
        with self._search() as cursor:
            wanted = None if only is None else self._paths(cursor, map(format_path, only))
            found = read_documents(cursor, packed, wanted)
        return list(found)

    @contextmanager
    def _search(self) -> Iterator[Cursor]:
        with self._database.transaction() as cursor:
            try:
                cursor.execute(_PREPARE, (int(self._timeout * 1000),))
                yield cursor
            except psycopg2.errors.QueryCanceled as exc:
                raise SearchTimeoutError() from exc

    def _plan(self, cursor: Cursor, node: Node) -> Plan:
        return translate(node, self._paths(cursor, (format_path(each.path) for each in conditions(node))))

    def _paths(self, cursor: Cursor, wanted: Iterable[str]) -> dict[str, int]:
        """Return the numbers of the paths that are in the index; once there, a path keeps its number for good."""
        given = set(wanted)
        unknown = [path for path in given if path not in self._numbers]
        if unknown:
            cursor.execute("SELECT path, id FROM research.path WHERE path = ANY (%s)", (unknown,))
            self._numbers.update(cursor.fetchall())
        return {path: self._numbers[path] for path in given if path in self._numbers}


def _series_of(cursor: Cursor, level: Level, identifier: str) -> list[int]:
    """Return the numbers of a series, or of the series of a study; none where there is no such."""
    condition = "orthanc = %s" if level == "series" else "study = (SELECT id FROM research.study WHERE orthanc = %s)"
    cursor.execute(f"SELECT id FROM research.series WHERE {condition}", (pack_id(identifier),))  # noqa: S608
    return [number for (number,) in cursor.fetchall()]


def _tag_text(sort: str) -> str:
    name = sort.removeprefix("-")
    return format_path(parse_tag_path(name)) if name else ""
