"""Users, for administrators: who logged in, with which groups; refuse them, end their sessions and tokens."""

from __future__ import annotations

from collections import Counter

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from common.errors import NotFoundError, RefusedError
from website.audit_requests import AccessRecord
from website.context import current_access, services
from website.guard import requires

blueprint = Blueprint("users", __name__)


@blueprint.get("/users")
@requires("admin")
def show_users() -> str:
    """Show everyone who ever logged in."""
    service = services()
    return render_template(
        "users.html",
        users=service.users.list(),
        sessions=Counter(session.user for session in service.sessions.list()),
        tokens=Counter(token.user for token in service.tokens.list()),
        problem=service.permissions.error,
    )


@blueprint.post("/users/disable")
@requires("admin")
def disable_user() -> ResponseReturnValue:
    """Refuse a user from now on; their sessions, tokens and jobs end."""
    name = _named()
    if name == current_access().user:
        raise RefusedError("nobody disables themselves")
    services().users.disable(name, by=current_access().user)
    services().links.revoke_all(name)
    return redirect("/users", 303)


@blueprint.post("/users/enable")
@requires("admin")
def enable_user() -> ResponseReturnValue:
    """Let a user log in again."""
    services().users.enable(_named())
    return redirect("/users", 303)


@blueprint.post("/users/revoke")
@requires("admin")
def revoke_everything() -> ResponseReturnValue:
    """End a user's sessions, tokens and links."""
    name = _named()
    services().users.revoke_everything(name)
    services().links.revoke_all(name)
    return redirect("/users", 303)


def _named() -> str:
    """Return the user that the form names; names hold slashes and dots, so they are no part of an address."""
    name = request.form.get("name", "")
    if services().users.find(name) is None:
        raise NotFoundError("there is no such user")
    AccessRecord.current().note(objects=[name])
    return name
