"""The console's pages."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from datetime import UTC
from typing import Any

from flask import Blueprint, Response, abort, jsonify, render_template, request, url_for
from flask.typing import ResponseReturnValue

from common.web import safe_cell
from deidentifier.console.activity import (
    LAST_HOUR,
    LAST_WEEK,
    Slot,
    Span,
    draw_bars,
    read_activity,
    read_feeds,
    read_rules,
)
from deidentifier.console.gate import may_decide
from deidentifier.console.peers import console, find_task

blueprint = Blueprint("views", __name__)
PAGE = 100
STATES = ("queued", "running", "done", "discarded", "quarantined", "failed")
WAITING = ("quarantined", "failed")
"""The states that wait for a person; as a filter they are named ``waiting``."""
_MAX_EXPORT = 100_000
_FILTERS = ("state", "code", "older")
_TOLD = ("labels", "reason", "findings", "earlier_result")  # of the detail, in words
_SHOWN = ("id", "subject", "state", "error_code", "attempts", "asked_at", "finished_at")


@blueprint.app_context_processor
def _functions() -> dict[str, Any]:
    return {"may_decide": may_decide, "states": STATES}


@blueprint.get("/healthcheck")
def healthcheck() -> ResponseReturnValue:
    """Say that the console runs and reaches PostgreSQL."""
    console().queue.counts()
    return jsonify(status="ok")


@blueprint.get("/")
def show_overview() -> ResponseReturnValue:
    """Show what is where, what waits for a person, and the plots."""
    span = LAST_WEEK if request.args.get("span") == "week" else LAST_HOUR
    slots = read_activity(console().database, span)
    return render_template(
        "overview.html",
        counts=[row for row in console().queue.counts() if row["kind"] == "deidentify"],
        feeds=read_feeds(console().database),
        rules=read_rules(console().database),
        problem=console().rules_problem(),
        alarm_days=console().settings.quarantine_alarm_days,
        span=span,
        slots=slots,
        plots=[
            ("Instances finished", f" in {span.unit}", _plot(slots, span, [slot.finished for slot in slots])),
            ("Instances waiting", "", _plot(slots, span, [slot.waiting for slot in slots])),
            ("Megabytes finished", f" in {span.unit}", _plot(slots, span, [slot.bytes // 1_000_000 for slot in slots])),
        ],
    )


def _plot(slots: list[Slot], span: Span, values: list[int]) -> dict[str, Any]:
    labels = [slot.start.astimezone(UTC).strftime(span.form) for slot in slots]
    return {"bars": draw_bars(values, labels), "top": max([0, *values]), "first": labels[0], "last": labels[-1]}


@blueprint.get("/activity.<form>")
def export_activity(form: str) -> ResponseReturnValue:
    """Give the numbers behind the plots as JSON or CSV."""
    span = LAST_WEEK if request.args.get("span") == "week" else LAST_HOUR
    rows = [asdict(slot) | {"start": slot.start.isoformat()} for slot in read_activity(console().database, span)]
    return _table(rows, form, "activity")


@blueprint.get("/tasks")
def show_tasks() -> ResponseReturnValue:
    """List tasks, filtered by the address's arguments."""
    asked, kept = request.args, {name: [*filter(None, request.args.getlist(name))] for name in _FILTERS}
    rows = console().queue.list_tasks(**_filters(), after=request.args.get("after", 0, int), limit=PAGE + 1)
    following = None
    if len(rows) > PAGE:
        rows = rows[:PAGE]
        following = url_for("views.show_tasks", **{**request.args.to_dict(flat=False), "after": rows[-1]["id"]})
    return render_template(
        "tasks.html",
        rows=rows,
        following=following,
        filters=asked,
        waiting={"waiting"} == {*kept["state"]} or {*WAITING} == {*kept["state"]},
        unknown=[state for state in kept["state"] if state not in (*STATES, "waiting")],
        codes=sorted({row["error_code"] for row in console().queue.counts() if row["error_code"]} | {*kept["code"]}),
        kept={name: values for name, values in kept.items() if values},
    )


@blueprint.get("/tasks.<form>")
def export_tasks(form: str) -> ResponseReturnValue:
    """Give the same list as JSON or CSV."""
    rows = console().queue.list_tasks(**_filters(), limit=_MAX_EXPORT)
    return _table([{name: row[name] for name in _SHOWN} for row in rows], form, "tasks")


@blueprint.get("/tasks/<int:task>")
def show_task(task: int) -> ResponseReturnValue:
    """Show one task: how it went, why it stopped, what can be done."""
    row, settings = find_task(task), console().settings
    detail = row["detail"] or {}
    return render_template(
        "task.html",
        row=row,
        detail=detail,
        findings=detail.get("findings", []),
        more={name: value for name, value in detail.items() if name not in _TOLD},
        # Once an instance is settled its original is deleted: there is nothing to show or to try again.
        original_kept=row["state"] not in ("done", "discarded") or settings.preserve_original_files,
        preserved=settings.preserve_original_files,
        administrators=settings.administrators,
        alarm_days=settings.quarantine_alarm_days,
    )


def _filters() -> dict[str, Any]:
    asked = request.args
    states = [state for state in asked.getlist("state") if state in STATES]
    if "waiting" in asked.getlist("state"):
        states.extend(WAITING)
    codes = [code for code in asked.getlist("code") if code]
    return {
        "kinds": ["deidentify"],
        "states": states or None,
        "codes": codes or None,
        "older": asked.get("older", 0, int),
    }


def _table(rows: list[dict[str, Any]], form: str, name: str) -> ResponseReturnValue:
    if form == "json":
        return jsonify(rows)
    if form != "csv":
        abort(404)
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(rows[0] if rows else [])
    writer.writerows([safe_cell(value) for value in row.values()] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(stream.getvalue(), mimetype="text/csv", headers=headers)
