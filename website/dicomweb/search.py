"""QIDO-RS (PS3.18 10.6): what a search asks for, and its answer, from the index alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from common.dicom_elements import Element
from common.dicom_json import dicom_json
from common.errors import QueryError
from common.query import Condition, Node, all_of
from common.tags import TagPath, parse_tag
from website.catalogue import Catalogue
from website.dicomweb.attributes import (
    COMPUTED,
    REQUIRED,
    allowed_attributes,
    default_attributes,
    is_single,
    read_includes,
    read_path,
    vr_of,
)
from website.dicomweb.matching import MOST_VALUES, Distinct, match_attribute
from website.dicomweb.summaries import StudySummary, Summaries
from website.index import Index, IndexDocument, Level
from website.index.pages import Row

MOST_RESULTS = 1000
"""A page has at most so many results, and so many where nothing is said."""
_MOST_PARAMETERS, _LONGEST = 50, 4000
_CONTROL = ("limit", "offset", "includefield", "fuzzymatching", "accept", "charset", "orderby")
_MODALITY: TagPath = (0x00080060,)
_CLASS: TagPath = (0x00080016,)
# Where the values of an attribute stand that an index of instances has under another name.
_SEARCHED: Mapping[TagPath, TagPath] = {(0x00080061,): _MODALITY, (0x00080062,): _CLASS}
_UID_OF: Mapping[Level, int] = {"study": 0x0020000D, "series": 0x0020000E, "instance": 0x00080018}
_ORDERS: Mapping[Level, str] = {"study": "-StudyDate", "series": "-StudyDate", "instance": "InstanceNumber"}


@dataclass(frozen=True)
class SearchRequest:
    """What is searched for.

    Attributes
    ----------
    level
        Of the results.
    scope
        The UIDs in the URL, by level.
    node
        What the instances of a result must match, without any permission.
    everything
        All attributes are asked for.
    wanted
        Attributes that each result brings.
    """

    level: Level
    scope: Mapping[Level, str]
    node: Node
    everything: bool
    wanted: tuple[TagPath, ...]
    limit: int
    offset: int
    warnings: tuple[str, ...] = ()


@dataclass
class SearchAnswer:
    """Results in the DICOM JSON model, how many of what they stand for, and sentences for ``Warning``."""

    results: list[dict[str, Any]]
    counts: dict[str, int]
    warnings: list[str] = field(default_factory=list)


def scope_node(scope: Mapping[Level, str]) -> Node:
    """Return the tree of the UIDs in a URL."""
    return all_of(Condition((_UID_OF[level],), "StrEquals", (uid,)) for level, uid in scope.items())


def read_request(
    level: Level, scope: Mapping[Level, str], arguments: Iterable[tuple[str, str]], distinct: Distinct
) -> SearchRequest:
    """Read the parameters of a search.

    Raises
    ------
    QueryError
        Says which parameter is wrong.
    """
    given: dict[str, list[str]] = {}
    for name, value in arguments:
        given.setdefault(name, []).append(value)
    if sum(map(len, given.values())) > _MOST_PARAMETERS or any(len(v) > _LONGEST for vs in given.values() for v in vs):
        raise QueryError(f"a search has at most {_MOST_PARAMETERS} parameters of {_LONGEST} characters")
    keys = {read_path(name): values for name, values in given.items() if name not in _CONTROL}
    nodes = [match_attribute(_SEARCHED.get(path, path), values, distinct) for path, values in keys.items()]
    everything, includes = read_includes(given.get("includefield", []))
    warnings = []
    if any(value.lower() == "true" for value in given.get("fuzzymatching", [])):
        warnings.append("The fuzzymatching parameter is not supported. Only literal matching has been performed.")
    return SearchRequest(
        level,
        scope,
        all_of([scope_node(scope), *nodes]),
        everything,
        tuple(_wanted(level, scope, [*keys, *includes], everything)),
        min(_number("limit", given, MOST_RESULTS), MOST_RESULTS),
        _number("offset", given, 0),
        tuple(warnings),
    )


def _number(name: str, given: Mapping[str, list[str]], default: int) -> int:
    texts = given.get(name, [])
    if not texts:
        return default
    if len(texts) > 1 or not texts[0].isascii() or not texts[0].isdigit() or len(texts[0]) > 9:
        raise QueryError(f"{name} is one whole number, from 0")
    return int(texts[0])


def _wanted(level: Level, scope: Mapping[Level, str], asked: Sequence[TagPath], everything: bool) -> list[TagPath]:
    """Return what is answered: what always is, what was matched or asked for where the level has it, or all it has."""
    allowed = allowed_attributes(level)
    top = max(scope, key=("study", "series").index, default=None)
    found: dict[TagPath, None] = {(tag,): None for tag in default_attributes(level, top)}
    if everything and allowed is not None:
        found |= {(tag,): None for tag in sorted(allowed)}
    for path in asked:
        if allowed is None or path[0] in allowed or (level == "study" and path == _MODALITY):
            found[path[:1] if vr_of(path[0]) == "SQ" else path] = None
    return list(found)


class Searcher:
    """Answers searches. Every method takes the query tree of what the user may have."""

    def __init__(self, index: Index, catalogue: Catalogue, summaries: Summaries) -> None:
        self._index, self._catalogue, self._summaries = index, catalogue, summaries

    def distinct(self, permitted: Node) -> Distinct:
        """Return a function that gives the different values of an attribute in what is permitted."""

        def values(path: TagPath) -> list[str]:
            found = self._index.facets(permitted, [path], MOST_VALUES + 1)[path]
            return [each.value for each in found]

        return values

    def search(self, request: SearchRequest, permitted: Node) -> SearchAnswer:
        """Return one page of results.

        Raises
        ------
        SearchTimeoutError
            It takes too long.
        """
        node = all_of([request.node, permitted])
        rows = list(islice(self._rows(request, node), request.offset, request.offset + request.limit + 1))
        shown = rows[: request.limit]
        answer = SearchAnswer(self._results(request, shown, permitted), _counts(request.level, shown))
        answer.warnings += request.warnings
        if len(rows) > len(shown):
            total = self._index.count(node)
            of_level = {"study": total.studies, "series": total.series, "instance": total.instances}[request.level]
            remaining = max(of_level - request.offset - len(shown), 1)
            answer.warnings.append(f"There are {remaining} additional results that can be requested")
        return answer

    def _rows(self, request: SearchRequest, node: Node) -> Iterable[Row]:
        """Walk through what matches, page by page, in one order: an offset skips."""
        after: str | None = ""
        columns = [path for path in request.wanted if vr_of(path[0]) != "SQ"] if request.level == "instance" else []
        size = min(request.offset + request.limit + 1, MOST_RESULTS + 1)
        while after is not None:
            page = self._index.page(node, request.level, _ORDERS[request.level], after, size, columns)
            yield from page.rows
            after = page.next

    def _results(self, request: SearchRequest, rows: Sequence[Row], permitted: Node) -> list[dict[str, Any]]:
        if not rows:
            return []
        if request.level == "instance":
            return self._instances(request, rows)
        paths = request.wanted
        if request.level == "study":
            studies = self._summaries.studies(permitted, [row.study for row in rows], paths)
            found = (studies[row.study] for row in rows if row.study in studies)
            return [self._study(request, study) for study in found]
        ids = [row.series or "" for row in rows]
        series = self._summaries.series(permitted, ids, paths)
        return [
            _result(request, {path: series[each].texts.get(path) for path in paths}, [str(series[each].instances)])
            for each in ids
            if each in series
        ]

    @staticmethod
    def _study(request: SearchRequest, study: StudySummary) -> dict[str, Any]:
        result = _result(
            request,
            {path: study.texts(path) for path in request.wanted},
            [study.collect(_MODALITY), study.collect(_CLASS), str(len(study.series)), str(study.instances)],
        )
        if _MODALITY in request.wanted and study.collect(_MODALITY):  # of a study, all there are
            result["00080060"] = {"vr": "CS", "Value": study.collect(_MODALITY)}
        return result

    def _instances(self, request: SearchRequest, rows: Sequence[Row]) -> list[dict[str, Any]]:
        if not request.everything and all(vr_of(path[0]) != "SQ" for path in request.wanted):
            return [_result(request, {path: row.values.get(path) for path in request.wanted}, []) for row in rows]
        uids = tuple((row.values.get((_UID_OF["instance"],)) or [""])[0] for row in rows)
        same = Condition((_UID_OF["instance"],), "In", uids)
        documents = {each.ids.instance: each for _, each in self._catalogue.documents(same)}
        found = (documents[row.instance or ""] for row in rows if row.instance in documents)
        return [_whole(request, document) for document in found]


def _counts(level: Level, rows: Sequence[Row]) -> dict[str, int]:
    return {{"study": "studies", "series": "series", "instance": "instances"}[level]: len(rows)}


def _result(
    request: SearchRequest, texts: Mapping[TagPath, Sequence[str] | None], computed: Sequence[str | Sequence[str]]
) -> dict[str, Any]:
    """Write one result: present attributes with their values, those without a value empty (PS3.18 F.2.5)."""
    elements = [
        _element(path[0], texts.get(path) or ())
        for path in request.wanted
        if len(path) == 1 and (texts.get(path) is not None or path[0] in REQUIRED)
    ]
    for name, value in zip(COMPUTED[request.level], computed, strict=True):
        elements.append(_element(parse_tag(name), [value] if isinstance(value, str) else value))
    return _with_constants(dicom_json(sorted(elements, key=lambda each: each.tag)))


def _element(tag: int, texts: Sequence[str]) -> Element:
    given, vr = tuple(texts) if any(texts) else (), vr_of(tag)
    if vr == "SQ":
        return Element(tag, vr, items=())
    groups = ((len(given),) if is_single(tag) else (1,) * len(given)) if vr == "PN" and given else ()
    return Element(tag, vr, given, groups)


def _whole(request: SearchRequest, document: IndexDocument) -> dict[str, Any]:
    """Write an instance with all that is asked for, from its document."""
    wanted = {path[0] for path in request.wanted}
    return _with_constants(dicom_json(each for each in document.elements if request.everything or each.tag in wanted))


def _with_constants(result: dict[str, Any]) -> dict[str, Any]:
    """Add what every result says: it is online, and JSON is UTF-8 whatever the file is."""
    result["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    result["00080056"] = {"vr": "CS", "Value": ["ONLINE"]}
    return result
