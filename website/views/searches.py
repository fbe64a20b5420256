"""The searches that a user saved, and made last."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from common.query import parse
from website.context import current_access, services
from website.guard import requires
from website.searches import Searches

blueprint = Blueprint("searches", __name__)


@blueprint.get("/searches")
@requires("login")
def show_searches() -> str:
    """List them."""
    found = Searches(services().database).list(current_access().user)
    saved, recent = [each for each in found if each.name], [each for each in found if not each.name]
    return render_template("searches.html", saved=saved, recent=recent)


@blueprint.post("/searches")
@requires("login")
def save_search() -> ResponseReturnValue:
    """Keep a search under a name."""
    name, query = request.form.get("name", ""), request.form.get("q", "")
    parse(query)  # what does not parse is not worth keeping: answers with the error
    Searches(services().database).save(current_access().user, name, query)
    flash("The search is saved.", "success")
    return redirect(url_for("searches.show_searches"), 303)


@blueprint.post("/searches/<int:search_id>/delete")
@requires("login")
def delete_search(search_id: int) -> ResponseReturnValue:
    """Forget one."""
    Searches(services().database).delete(current_access().user, search_id)
    return redirect(url_for("searches.show_searches"), 303)
