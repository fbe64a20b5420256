"""Where a user is logged in, and how to end that."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, redirect, render_template
from flask.typing import ResponseReturnValue

from website.context import current_access, services
from website.guard import requires

blueprint = Blueprint("sessions", __name__)


@blueprint.get("/sessions")
@requires("login")
def show_sessions() -> str:
    """Show the user's sessions."""
    return render_template("sessions.html", sessions=services().sessions.list(current_access().user))


@blueprint.post("/sessions/<uuid:session_id>/revoke")
@requires("login")
def revoke_session(session_id: UUID) -> ResponseReturnValue:
    """End one of the user's sessions, here or elsewhere."""
    services().sessions.revoke(str(session_id), user=current_access().user)
    return redirect("/sessions", 303)
