"""The audit trail, for administrators: filtered, and as CSV or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue

from common.web import safe_cell
from website.audit_search import COLUMNS, Row, read_filters, search, search_all
from website.context import services
from website.guard import requires

blueprint = Blueprint("audit", __name__)
_PAGE = 100


@blueprint.get("/audit")
@requires("admin", costly=True)
def show_audit() -> ResponseReturnValue:
    """Show a page of the trail."""
    try:
        filters = read_filters(request.args)
    except ValueError as exc:
        return render_template(
            "audit.html", rows=[], filters=request.args, following="", export="", error=str(exc)
        ), 400
    rows = search(services().database, filters, _PAGE)
    following = urlencode({**filters, "before": rows[-1].seq}) if len(rows) == _PAGE else ""
    export = urlencode({name: value for name, value in filters.items() if name != "before"})
    return render_template("audit.html", rows=rows, filters=filters, following=following, export=export, error="")


@blueprint.get("/audit.csv")
@requires("admin", costly=True)
def export_csv() -> ResponseReturnValue:
    """Stream the trail as CSV."""
    return _export(_as_csv, "text/csv; charset=utf-8", "audit.csv")


@blueprint.get("/audit.jsonl")
@requires("admin", costly=True)
def export_json() -> ResponseReturnValue:
    """Stream the trail as JSON lines."""
    return _export(_as_json, "application/x-ndjson", "audit.jsonl")


def _export(write: Callable[[Iterator[Row]], Iterator[str]], mimetype: str, name: str) -> ResponseReturnValue:
    try:
        rows = search_all(services().database, read_filters(request.args))
    except ValueError as exc:
        return Response(str(exc), 400, mimetype="text/plain")
    return Response(
        write(rows), content_type=mimetype, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _as_csv(rows: Iterator[Row]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["seq", *COLUMNS])
    for row in rows:
        writer.writerow([row.seq, *(safe_cell(_flat(row.entry.get(column))) for column in COLUMNS)])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _as_json(rows: Iterator[Row]) -> Iterator[str]:
    for row in rows:
        yield json.dumps({"seq": row.seq, **row.entry}) + "\n"


def _flat(value: object) -> object:
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return json.dumps(value) if isinstance(value, dict) else value
