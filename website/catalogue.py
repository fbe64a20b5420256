"""What the pages ask of the index: columns and orders of each level, resources by Orthanc's identifiers, tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.database import Database, load_statements
from common.dicom_json import element_document
from common.errors import NotFoundError, QueryError
from common.query import Condition, Node, all_of
from common.tags import TagPath, parse_tag, parse_tag_path
from website.index import Index, IndexDocument, InstanceIds, Level
from website.index.document import pack_id, unpack_id
from website.plots import Plot, by_year
from website.result_cache import ResultCache
from website.settings import WebsiteSettings

__all__ = ["LEVELS", "SORTS", "Catalogue", "Level", "ResultPage", "ResultRow"]

LEVELS: tuple[Level, ...] = ("study", "series", "instance")
STUDY_COLUMNS = ("StudyDescription", "StudyDate", "Modality", "PatientID")
_NEWEST = ("-StudyDate", "Newest study first")
_OLDEST = ("StudyDate", "Oldest study first")
_ARRIVED = ("-", "Arrived last")
_PATIENT = ("PatientID", "Patient")
_NUMBER = ("SeriesNumber", "Series number")
_DESCRIPTION = ("SeriesDescription", "Description")
SORTS: Mapping[Level, tuple[tuple[str, str], ...]] = {
    "study": (_NEWEST, _OLDEST, _ARRIVED, ("StudyDescription", "Description"), _PATIENT),
    "series": (
        _NEWEST,
        _OLDEST,
        _ARRIVED,
        ("SeriesDescription", "Description"),
        ("Modality", "Modality"),
        _NUMBER,
        _PATIENT,
    ),
    "instance": (("InstanceNumber", "Instance number"), _NEWEST, _ARRIVED, _PATIENT),
}
"""Orders of each level, the first by default: a tag, ``-`` before it for descending, and its name."""

_TABLE_PAGE = 1000
_MOST_COLUMNS = 100
_MOST_DATES = 10_000
_DATE = "StudyDate"
_SAMPLE = 21
_SQL = Path(__file__).with_name("catalogue.sql")


@dataclass(frozen=True)
class ResultRow:
    """A study, series or instance of a result: Orthanc's identifier, how much of it matches, values by keyword."""

    id: str
    series: int
    instances: int
    values: dict[str, str]


@dataclass(frozen=True)
class ResultPage:
    """Rows, and the cursor of the page after them; None at the end."""

    rows: list[ResultRow]
    next: str | None


_IDENTIFIERS: dict[Level, tuple[str, ...]] = {
    "study": ("StudyInstanceUID",),
    "series": ("StudyInstanceUID", "SeriesInstanceUID"),
    "instance": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
}


class Catalogue:
    """The index as the pages see it. Every method takes a query that holds the user's permissions already."""

    def __init__(self, index: Index, database: Database, settings: WebsiteSettings) -> None:
        self._index = index
        self._database = database
        self._settings = settings
        self._statements = load_statements(_SQL)
        self._cache = ResultCache(index.generation)

    def count(self, node: Node) -> dict[str, int]:
        """Count patients, studies, series and instances."""
        return asdict(self._cache.get(("count", node), lambda: self._index.count(node)))

    def columns(self, level: Level) -> tuple[str, ...]:
        """Return the keywords shown of a study, a series or an instance."""
        if level == "study":
            return STUDY_COLUMNS
        return self._settings.series_header_keywords if level == "series" else self._settings.instance_header_keywords

    def page(
        self,
        node: Node,
        level: Level,
        *,
        limit: int,
        sort: str = "",
        after: str = "",
        columns: Sequence[str] = (),
    ) -> ResultPage:
        """Return a page of what matches: see :meth:`search`."""
        return self.search(node, level, limit=limit, sort=sort, after=after, columns=columns)[1]

    def search(
        self,
        node: Node,
        level: Level,
        *,
        limit: int,
        sort: str = "",
        after: str = "",
        columns: Sequence[str] = (),
        within: tuple[Level, str] | None = None,
    ) -> tuple[dict[str, int], ResultPage]:
        """Count what matches, as :meth:`count`, and return a page of it, in one of the orders of :data:`SORTS`.

        ``within`` a study or a series, where they are given with Orthanc's identifier.

        Raises
        ------
        QueryError
            The cursor is not of a page, or a column is no tag.
        """
        order = sort if sort in dict(SORTS[level]) else SORTS[level][0][0]
        wanted = {keyword: _path(keyword) for keyword in columns or self.columns(level)}
        counts, found = self._index.search(node, level, order, after, limit, list(wanted.values()), within)
        rows = [
            ResultRow(getattr(row, level), row.series_count, row.instance_count, _texts(row.values, wanted))
            for row in found.rows
        ]
        return asdict(counts), ResultPage(rows, found.next)

    def newest(self, node: Node, limit: int) -> list[ResultRow]:
        """Return the studies that arrived last."""
        return self._cache.get(
            ("newest", node, limit), lambda: self.page(node, "study", sort=_ARRIVED[0], limit=limit).rows
        )

    def facets(self, node: Node, keywords: Sequence[str], limit: int) -> dict[str, list[tuple[str, int]]]:
        """Return the commonest values of some elements, and how many instances hold them."""
        found = self._cache.get(
            ("facets", node, tuple(keywords), limit), lambda: self._index.facets(node, keywords, limit)
        )
        return {keyword: [(each.value, each.instances) for each in found[keyword]] for keyword in keywords}

    def overview(
        self, node: Node, keywords: Sequence[str], limit: int
    ) -> tuple[dict[str, list[tuple[str, int]]], Plot | None]:
        """Return :meth:`facets`, and how many instances are of which year, at the cost of one look at the index."""
        found = self._cache.get(
            _overview(node, keywords, limit),
            lambda: self._index.facets(node, [*keywords, _DATE], [*[limit] * len(keywords), _MOST_DATES]),
        )
        facets = {keyword: [(each.value, each.instances) for each in found[keyword]] for keyword in keywords}
        return facets, by_year((each.value, each.instances) for each in found[_DATE])

    def knows_overview(self, node: Node, keywords: Sequence[str], limit: int) -> bool:
        """Tell whether :meth:`overview` can answer without the index."""
        return self._cache.holds(_overview(node, keywords, limit))

    def suggest_tags(self, prefix: str) -> list[tuple[str, str]]:
        """Return tags of the index that begin so, each with a note (none)."""
        return [(tag, "") for tag in self._index.suggest_tags(prefix)]

    def suggest_values(self, tag: str, prefix: str, node: Node) -> list[tuple[str, int]]:
        """Return values of a tag that begin so, and how often they occur; none where it is no tag."""
        try:
            found = self._index.suggest_values(parse_tag_path(tag), prefix, node)
        except ValueError:
            return []
        return [(each.value, each.instances) for each in found]

    def members(self, node: Node) -> Iterator[InstanceIds]:
        """Iterate over the instances that match."""
        return (hit.ids for hit in self._index.instances(node))

    def documents(self, node: Node) -> Iterator[tuple[int, IndexDocument]]:
        """Iterate over the instances that match, series by series, each with its place in its series, from 1."""
        for hit in self._index.instances(node, documents=True):
            if hit.document is not None:
                yield hit.index_in_series, hit.document

    def first_document(self, node: Node, within: tuple[Level, str] | None = None) -> IndexDocument:
        """Return the document of an instance that matches; raises ``NotFoundError`` where none does."""
        found = self._index.page(node, "instance", limit=1, within=within).rows
        if not found:
            raise NotFoundError
        return self._index.document(found[0].instance or "")

    def table(self, node: Node, level: Level, wanted: Sequence[str]) -> tuple[list[str], Iterator[dict[str, Any]]]:
        """Return a table's columns and its rows: identifiers and counts, then the wanted elements or the usual ones.

        Raises
        ------
        QueryError
            One of the wanted columns is no tag, or there are too many.
        """
        if len(wanted) > _MOST_COLUMNS:
            raise QueryError(f"a table has at most {_MOST_COLUMNS} columns")
        # By default with what names the row in every other DICOM program.
        columns = list(wanted or dict.fromkeys((*_IDENTIFIERS[level], *self.columns(level))))
        for keyword in columns:
            _path(keyword)
        counts = {"study": ["Series", "Instances"], "series": ["Instances"], "instance": []}[level]
        return [f"Orthanc{level.title()}", *counts, *columns], self._rows(node, level, columns)

    def _rows(self, node: Node, level: Level, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        after: str | None = ""
        while after is not None:
            page = self.page(node, level, after=after, limit=_TABLE_PAGE, columns=columns)
            for row in page.rows:
                identity = {f"Orthanc{level.title()}": row.id, "Series": row.series, "Instances": row.instances}
                yield {**identity, **row.values}
            after = page.next

    def within(self, level: Level, identifier: str, node: Node) -> Node:
        """Restrict a query to one study or series.

        Raises
        ------
        NotFoundError
            The index has none with this identifier.
        """
        document = self._index.document(self._any_instance(level, identifier))
        keywords = ["PatientID", "StudyInstanceUID"] + (["SeriesInstanceUID"] if level == "series" else [])
        return all_of([*(_same(keyword, document) for keyword in keywords), node])

    def representative(self, level: Level, identifier: str, node: Node) -> str:
        """Return an instance from the middle of the first of a study or series that match.

        Raises
        ------
        NotFoundError
            None matches.
        """
        found = self._index.page(node, "instance", limit=_SAMPLE, within=(level, identifier)).rows
        if not found:
            raise NotFoundError
        return found[len(found) // 2].instance or ""

    def permitted_document(self, instance_id: str, node: Node) -> IndexDocument:
        """Return an instance's document where it matches.

        Raises
        ------
        NotFoundError
            It does not, or there is none: the same answer.
        """
        if not self._index.permitted(instance_id, node):
            raise NotFoundError
        return self._index.document(instance_id)

    def _any_instance(self, level: Level, identifier: str) -> str:
        with self._database.transaction() as cursor:
            cursor.execute(self._statements[f"instance_of_{level}"], (pack_id(identifier),))
            row = cursor.fetchone()
        if row is None:
            raise NotFoundError
        return unpack_id(row[0])


def elements_json(document: IndexDocument) -> dict[str, Any]:
    """Return the element document of an instance (doc/reference/json.md)."""
    return element_document(document.elements)


def _overview(node: Node, keywords: Sequence[str], limit: int) -> tuple[object, ...]:
    return ("overview", node, tuple(keywords), limit)


def _same(keyword: str, document: IndexDocument) -> Node:
    """Ask for the value that a document has; the identifiers of Orthanc are made of these."""
    path = (parse_tag(keyword),)
    texts = document.values(path)
    if texts is None:
        return Condition(path, "NotExists")
    return Condition(path, "StrEquals", (texts[0],)) if texts and texts[0] else Condition(path, "Empty")


def _path(keyword: str) -> TagPath:
    try:
        return parse_tag_path(keyword)
    except ValueError as exc:
        raise QueryError(str(exc)) from None


def _texts(values: Mapping[TagPath, Sequence[str]], wanted: Mapping[str, TagPath]) -> dict[str, str]:
    """Write the values of each wanted element as one text, joined by backslashes as DICOM does."""
    return {keyword: "\\".join(values.get(path, ())) for keyword, path in wanted.items()}
