"""The value-free status of the ingest side, for administrators."""

from __future__ import annotations

from flask import Blueprint, render_template

from website.context import services
from website.guard import requires
from website.ingest_status import read_ingest_status
from website.plots import ranking

blueprint = Blueprint("status", __name__)


@blueprint.get("/status")
@requires("admin")
def show_status() -> str:
    """Show counts, ages, rates and the rules in force."""
    status = read_ingest_status(services().database)
    plot = None
    if status:
        totals: dict[str, int] = {}
        for state, _, tasks, *_ in status.states:
            totals[state] = totals.get(state, 0) + int(tasks)
        plot = ranking(totals.items())
    return render_template("status.html", status=status, plot=plot, problem=services().permissions.error)
