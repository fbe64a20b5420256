"""The help: how to find, look and take, and the reference of the query language."""

from __future__ import annotations

from flask import Blueprint, render_template

from common.query.operators import OPERATORS
from website.context import services
from website.guard import requires

blueprint = Blueprint("help", __name__)


@blueprint.get("/help")
@requires("login")
def show_help() -> str:
    """Show the help; the table of operators is made from the operators themselves."""
    return render_template("help.html", operators=OPERATORS.values(), guide_url=services().settings.user_guide_url)
