"""The first page: what is new, what you may do."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template

from website.context import current_access, current_catalogue, services
from website.guard import requires
from website.plots import ranking
from website.searches import Searches

blueprint = Blueprint("home", __name__)
_NEWEST = 6
_SEARCHES = 6


@blueprint.get("/")
@requires("login")
def show_home() -> str:
    """Show what is new for this user, and what the user may do."""
    access = current_access()
    shown = _overview() if access.may("see") else {}
    return render_template("home.html", access=access, **shown)


def _overview() -> dict[str, Any]:
    access, catalogue = current_access(), current_catalogue()
    return {
        "counts": catalogue.count(access.see),
        "newest": catalogue.newest(access.see, _NEWEST),
        "modalities": ranking(catalogue.facets(access.see, ("Modality",), 10)["Modality"]),
        "searches": Searches(services().database).list(access.user)[:_SEARCHES],
    }
