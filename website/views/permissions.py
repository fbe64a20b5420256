"""Who am I, what are my groups and profiles, what does each let me do."""

from __future__ import annotations

from flask import Blueprint, render_template

from common.query import EVERYTHING, NOTHING, Node, describe, format_query
from website.context import current_access, services
from website.guard import requires

blueprint = Blueprint("permissions", __name__)


@blueprint.get("/permissions")
@requires("login")
def show_permissions() -> str:
    """Show the user's permissions, in English and as queries."""
    access = current_access()
    actions = [_explain(name, getattr(access, name)) for name in ("see", "download", "export")]
    return render_template(
        "permissions.html",
        access=access,
        actions=actions,
        profile_sees={profile.name: _say(profile.filter) for profile in access.profiles},
        problem=services().permissions.error,
    )


def _explain(name: str, node: Node) -> dict[str, str]:
    written = "" if node in (EVERYTHING, NOTHING) else format_query(node)
    return {"name": name, "english": _say(node), "query": written}


def _say(node: Node) -> str:
    if node == EVERYTHING:
        return "Every instance."
    return "No instance." if node == NOTHING else f"Instances of which {describe(node)}."
