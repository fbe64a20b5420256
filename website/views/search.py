"""Search: the page, what it offers while a query is typed or built, and the same result as JSON, CSV and JSON Lines."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from common.errors import QueryError
from common.query import all_of, describe, parse
from common.query.operators import OPERATORS
from website.audit_requests import AccessRecord
from website.catalogue import LEVELS, SORTS, Level
from website.completion import complete
from website.context import current_access, current_catalogue, services
from website.guard import requires
from website.query_builder import add_condition as extend
from website.searches import Searches
from website.tables import stream_csv, stream_json_lines
from website.views.answers import elements_answer

blueprint = Blueprint("search", __name__)

FACETS = (
    "Modality",
    "BodyPartExamined",
    "StudyDescription",
    "SeriesDescription",
    "Manufacturer",
    "ManufacturerModelName",
    "PatientSex",
)
FACET_VALUES = 8


@blueprint.get("/search")
@requires("see", costly=True)
def show_search() -> ResponseReturnValue:
    """Show the first or a later page of a result."""
    level, query = _level(), request.args.get("q", "").strip()
    page: dict[str, Any] = {"query": query, "level": level, "operators": _operators(), "access": current_access()}
    try:
        tree = parse(query)
    except QueryError as exc:
        return render_template("search.html", **page, error=_point_at(query, exc)), 400
    return render_template("search.html", **page, **_result(query, tree, level), english=describe(tree))


def _result(query: str, tree: Any, level: Level) -> dict[str, Any]:
    """Ask the catalogue for what the page shows; the values and rows are of permitted instances alone."""
    catalogue = current_catalogue()
    permitted = all_of([tree, current_access().see])
    sort, after = request.args.get("sort", SORTS[level][0][0]), request.args.get("after", "")
    counts, found = catalogue.search(
        permitted, level, sort=sort, after=after, limit=services().settings.results_per_page
    )
    AccessRecord.current().note(query=query, english=describe(tree), counts=counts)
    if not after:
        Searches(services().database).remember(current_access().user, query)
    at_once = "overview" in request.args or catalogue.knows_overview(permitted, FACETS, FACET_VALUES)
    return {
        "rows": found.rows,
        "next": found.next,
        "after": after,
        "sort": sort,
        "sorts": SORTS[level],
        "columns": catalogue.columns(level),
        "counts": counts,
        "overview": _overview(permitted, query, level) if at_once else None,
        "known_tags": FACETS,
        "resource_url": _resource_url,
    }


@blueprint.get("/search/overview")
@requires("see", costly=True)
def show_overview() -> str:
    """Show what the result holds, by value and year: the part of the search page that is loaded after its rows."""
    query, tree = request.args.get("q", "").strip(), _asked_for()
    return render_template("_overview.html", overview=_overview(tree, query, _level()))


def _overview(permitted: Any, query: str, level: Level) -> dict[str, Any]:
    found, years = current_catalogue().overview(permitted, FACETS, FACET_VALUES)
    facets = [
        {
            "label": keyword,
            "choices": [
                {
                    "value": value,
                    "count": count,
                    "url": url_for(".show_search", q=_narrowed(query, keyword, value), level=level),
                }
                for value, count in values
            ],
        }
        for keyword, values in found.items()
    ]
    return {
        "facets": facets,
        "years": years.linked(lambda bar: _of_year(query, level, int(bar.label))) if years else None,
    }


def _of_year(query: str, level: Level, year: int) -> str:
    """Return the address of the same search within one year."""
    after = extend(query, "StudyDate", "DateAfter", f"{year - 1:04}-12-31")
    return url_for(".show_search", q=extend(after, "StudyDate", "DateBefore", f"{year + 1:04}-01-01"), level=level)


def _narrowed(query: str, keyword: str, value: str) -> str:
    operator, operand = ("StrEquals", value) if value else ("Empty", "")
    return extend(query, keyword, operator, operand)


@blueprint.get("/search/add")
@requires("see")
def add_condition() -> ResponseReturnValue:
    """Add the condition that was chosen to the query, and search."""
    given = {name: request.args.get(name, "").strip() for name in ("q", "tag", "operator", "value", "join")}
    try:
        query = extend(given["q"], given["tag"], given["operator"], given["value"], join=given["join"] or "AND")
    except QueryError:
        # Show the query as it would be, with the error under its place.
        condition = " ".join(filter(None, (given["tag"], given["operator"], given["value"])))
        query = " ".join(filter(None, (given["q"], (given["join"] or "AND") if given["q"] else "", condition)))
    return redirect(url_for(".show_search", q=query, level=_level()))


@blueprint.get("/search/suggest")
@requires("see")
def suggest() -> Response:
    """Say what may stand at the cursor; values are those of permitted instances."""
    query, see, catalogue = request.args.get("q", ""), current_access().see, current_catalogue()
    found = complete(
        query,
        request.args.get("at", len(query), type=int),
        catalogue.suggest_tags,
        lambda tag, prefix: catalogue.suggest_values(tag, prefix, see),
    )
    items = [{"text": each.text, "insert": each.insert, "note": each.note} for each in found.suggestions]
    return jsonify({"from": found.start, "to": found.end, "items": items})


@blueprint.get("/search.json")
@requires("see", costly=True)
def export_json() -> Response:
    """Stream the elements of the result, in the shape of version 1.0 or as DICOM JSON."""
    return elements_answer(current_catalogue().documents(_asked_for()))


@blueprint.get("/search.csv")
@requires("see", costly=True)
def export_csv() -> Response:
    """Stream one row per study, series or instance."""
    columns, rows = _table()
    headers = {"Content-Disposition": 'attachment; filename="result.csv"'}
    return Response(stream_csv(columns, rows), mimetype="text/csv", headers=headers)


@blueprint.get("/search.jsonl")
@requires("see", costly=True)
def export_json_lines() -> Response:
    """Stream one JSON object per study, series or instance."""
    columns, rows = _table()
    return Response(stream_json_lines(columns, rows), mimetype="application/jsonl")


def _table() -> tuple[list[str], Any]:
    level, tree = _level(), _asked_for()
    wanted = [name.strip() for name in request.args.get("columns", "").split(",") if name.strip()]
    return current_catalogue().table(tree, level, wanted)


def _asked_for() -> Any:
    """Return the query of this request within what its user may see, noted in the audit trail."""
    query = request.args.get("q", "").strip()
    tree = parse(query)
    permitted = all_of([tree, current_access().see])
    AccessRecord.current().note(query=query, english=describe(tree), counts=current_catalogue().count(permitted))
    return permitted


def _level() -> Level:
    asked = request.args.get("level")
    return next((level for level in LEVELS if level == asked), LEVELS[0])


def _operators() -> list[tuple[str, str]]:
    return [(each.name, each.english.format(tag="", value="").strip()) for each in OPERATORS.values()]


def _point_at(query: str, exc: QueryError) -> dict[str, Any]:
    """Split a query around the character at which it stops to make sense."""
    place = min(max(exc.position, 0), len(query))
    return {
        "before": query[:place],
        "at": query[place : place + 1] or "␣",
        "after": query[place + 1 :],
        "message": str(exc),
        "position": place,
    }


def _resource_url(level: Level, identifier: str) -> str:
    named: dict[str, Any] = {f"{level}_id": identifier}
    return url_for(f"resources.show_{level}", **named)
