"""Exports: asked for from a search, watched, paused, resumed; one's own, and everybody's for administrators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, stream_with_context, url_for
from flask.typing import ResponseReturnValue

from common.errors import NotFoundError, RefusedError, ResearchPacsError
from common.query import all_of, describe, parse
from website.audit_requests import AccessRecord
from website.context import current_access, current_index, services
from website.exports.choices import FORMATS, LAYOUTS, SYNTAXES, read_choices
from website.exports.credentials import read_keys
from website.exports.destinations import KINDS, STORAGE_CLASSES
from website.exports.export import Export
from website.exports.items import Items
from website.exports.manifest import FAILURE_COLUMNS
from website.exports.shown import as_json, fetch_commands
from website.guard import purpose_of_use, requires
from website.tables import stream_csv

blueprint = Blueprint("exports", __name__)
_FAILURES_SHOWN = 20
_WISHES = {"cancel": "The export is being cancelled.", "pause": "The export is being paused."}


@blueprint.get("/exports")
@requires("export")
def show_exports() -> str:
    """Show my exports; administrators see everybody's on another page."""
    return render_template("exports.html", exports=_exports().latest(current_access().user), everybody=False)


@blueprint.get("/exports/all")
@requires("admin")
def show_all_exports() -> str:
    """Show the exports of everybody."""
    return render_template("exports.html", exports=_exports().latest(None), everybody=True)


@blueprint.get("/exports.json")
@requires("export")
def exports_json() -> Response:
    """Give my exports as JSON; an administrator's session asks with ``?all=1`` for everybody's."""
    everybody = bool(request.args.get("all")) and current_access().admin
    found = _exports().latest(None if everybody else current_access().user)
    return jsonify(exports=[as_json(each) for each in found])


@blueprint.get("/exports/new")
@requires("export", costly=True)
def new_export() -> ResponseReturnValue:
    """Show how much there would be, the first keys, and what else has to be known."""
    return _form({**request.args, "query": request.args.get("q", request.args.get("query", ""))})


@blueprint.post("/exports")
@requires("export", costly=True)
def make_export() -> ResponseReturnValue:
    """Ask for an export: from the form, or as JSON."""
    given: Mapping[str, Any] = _json_body() if request.is_json else request.form
    AccessRecord.current().note(query=str(given.get("query") or "")[:1000])
    try:
        identifier = services().exports.make(current_access(), given, purpose_of_use())
    except ResearchPacsError as exc:
        if request.is_json:
            raise
        return _form(given, error=str(exc)), 400
    AccessRecord.current().note(export=identifier)
    if request.is_json:
        place = {"Location": url_for(".show_export", export_id=identifier)}
        return jsonify(as_json(_exports().read(identifier))), 201, place
    return redirect(url_for(".show_export", export_id=identifier), 303)


@blueprint.get("/exports/<uuid:export_id>")
@requires("export")
def show_export(export_id: UUID) -> str:
    """Show one of my exports: how far it is, what failed, how to fetch it."""
    return _page(_mine(export_id))


@blueprint.get("/exports/all/<uuid:export_id>")
@requires("admin")
def show_any_export(export_id: UUID) -> str:
    """Show an administrator somebody's export."""
    return _page(_exports().read(str(export_id)))


@blueprint.get("/exports/<uuid:export_id>.json")
@requires("export")
def export_json(export_id: UUID) -> Response:
    """Give one export as JSON, which the page asks for again and again too."""
    return jsonify(as_json(_mine(export_id)))


@blueprint.get("/exports/<uuid:export_id>/failures.csv")
@requires("export")
def export_failures(export_id: UUID) -> Response:
    """Stream the instances that could not be sent, with the reasons."""
    items = Items(services().database, _mine(export_id).id)
    rows = (dict(zip(FAILURE_COLUMNS, row, strict=True)) for row in items.failures())
    headers = {"Content-Disposition": 'attachment; filename="failures.csv"'}
    return Response(stream_with_context(stream_csv(FAILURE_COLUMNS, rows)), mimetype="text/csv", headers=headers)


@blueprint.post("/exports/<uuid:export_id>/<any(cancel, pause):wish>")
@requires("export")
def stop_export(export_id: UUID, wish: str) -> ResponseReturnValue:
    """Cancel or pause a job; an administrator may everybody's."""
    export = _mine(export_id)
    state = _exports().ask(export.id, wish)
    _note(export, wish)
    flash(_WISHES[wish] if state == "running" else f"The export is {state}.", "success")
    return _back(export)


@blueprint.post("/exports/<uuid:export_id>/<any(resume, rerun):how>")
@requires("export", costly=True)
def start_export_again(export_id: UUID, how: str) -> ResponseReturnValue:
    """Resume a job, or run it again for what failed; its own user alone, with keys where those are gone."""
    export, given = _mine(export_id, administrators=False), _json_body() if request.is_json else request.form
    keys = read_keys(given) if export.destination.kind == "keys" and given.get("access_key") else None
    if keys is not None:
        services().exports.try_out(export.user, export.purpose, export.destination, keys)
    elif export.destination.kind == "keys" and _exports().keys(export.id) is None:
        raise RefusedError("the keys were erased: enter them again")
    (_exports().resume if how == "resume" else _exports().rerun)(export.id, keys)
    _note(export, how)
    flash("The export goes on.", "success")
    return _back(export)


def _exports() -> Any:
    return services().exports.exports


def _mine(export_id: UUID, *, administrators: bool = True) -> Export:
    """Return an export of this user; somebody else's is as if there were none, but for administrators."""
    export: Export = _exports().read(str(export_id))
    if export.user != current_access().user and not (administrators and current_access().admin):
        raise NotFoundError
    AccessRecord.current().note(objects=[export.id])
    return export


def _note(export: Export, what: str) -> None:
    entry = {"action": "export", "phase": what, "user": export.user, "export": export.id, "by": current_access().user}
    services().audit.append(entry)


def _back(export: Export) -> ResponseReturnValue:
    if request.is_json or "Authorization" in request.headers:
        return jsonify(as_json(_exports().read(export.id)))
    return redirect(url_for(".show_export", export_id=export.id), 303)


def _json_body() -> Mapping[str, Any]:
    body = request.get_json()
    if not isinstance(body, dict):
        raise RefusedError("the body must be a JSON object")
    return body


def _page(export: Export) -> str:
    items = Items(services().database, export.id)
    return render_template(
        "export.html",
        export=export,
        own=export.user == current_access().user,
        shown=as_json(export),
        layouts=LAYOUTS,
        classes=items.failure_classes() if export.failed else [],
        failures=list(items.failures(_FAILURES_SHOWN)) if export.failed else [],
        commands=fetch_commands(export),
        needs_keys=export.destination.kind == "keys" and _exports().keys(export.id) is None,
    )


def _form(given: Mapping[str, Any], error: str = "") -> str:
    """Show the form again with what was given, but for secrets."""
    access, asking = current_access(), services().exports
    query = str(given.get("query") or "").strip()
    page: dict[str, Any] = {"counts": None, "keys": [], "bytes": 0, "english": ""}
    try:
        tree, choices = parse(query), _preview_choices(given)
        counts = current_index().count(all_of([tree, access.export]))
        AccessRecord.current().note(query=query, english=describe(tree), counts=vars(counts))
        page = {
            "counts": counts,
            "english": describe(tree),
            "keys": asking.preview(tree, access, choices) if counts.instances else [],
            "bytes": asking.estimate(tree, access, choices, counts.instances) if counts.instances else 0,
        }
    except ResearchPacsError as exc:
        error = error or str(exc)
    return render_template(
        "export_new.html",
        given={"prefix": f"export-{datetime.now(UTC):%Y-%m-%d}"}
        | {name: given.get(name) for name in _ECHOED if name in given}
        | {"query": query},
        error=error,
        **page,
        formats=FORMATS,
        layouts=LAYOUTS,
        syntaxes=SYNTAXES,
        kinds=dict(_kinds()),
        storage_classes=STORAGE_CLASSES,
        configured=_configured(),
        endpoints=asking.endpoints.allowed,
        external_id=asking.exports.external_id(access.user, purpose_of_use()),
        mails=asking.notifier.mails,
    )


_ECHOED = (
    "format", "layout", "transfer_syntax", "elements", "kind", "name", "bucket", "prefix", "region", "endpoint",
    "role_arn", "kms_key", "storage_class", "owner_full_control", "notify",
)  # fmt: skip


def _preview_choices(given: Mapping[str, Any]) -> Any:
    """Read the choices; a format that was chosen a moment ago may still lack its transfer syntax."""
    syntax = given.get("transfer_syntax") or next(iter(SYNTAXES))
    return read_choices({**given, "transfer_syntax": syntax})


def _kinds() -> Iterator[tuple[str, str]]:
    for kind, label in KINDS.items():
        if (kind != "configured" or _configured()) and (kind != "keys" or _exports().takes_keys):
            yield kind, label


def _configured() -> dict[str, str]:
    """Return what this user may choose, with descriptions."""
    found = services().exports.destinations.value
    return {name: found[name].description for name in sorted(current_access().destinations) if name in found}
