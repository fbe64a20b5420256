"""A user's API tokens: made, shown once, listed, revoked."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from common.errors import RefusedError
from website.audit_requests import AccessRecord
from website.context import current_access, services
from website.guard import purpose_of_use, requires
from website.permissions import ACTIONS

blueprint = Blueprint("tokens", __name__)
MAX_TOKENS = 20


# "Download: false" takes API tokens away, so making one needs that action. A token cannot make another.
@blueprint.get("/tokens")
@requires("download", interactive=True)
def show_tokens() -> str:
    """Show the user's tokens and a form for another."""
    return _page()


@blueprint.post("/tokens")
@requires("download", interactive=True)
def make_token() -> ResponseReturnValue:
    """Make a token; its secret is in this answer and nowhere else."""
    service, access = services(), current_access()
    try:
        label, actions, days = _read_form()
    except ValueError as exc:
        return _page(error=str(exc)), 400
    if len(service.tokens.list(access.user)) >= MAX_TOKENS:
        raise RefusedError(f"nobody has more than {MAX_TOKENS} API tokens: revoke one first")
    secret, token = service.tokens.create(
        access.user, label=label, actions=actions, lifetime=timedelta(days=days), purpose=purpose_of_use()
    )
    AccessRecord.current().note(made=token.id, scope=sorted(actions))
    return _page(secret=secret)


@blueprint.post("/tokens/<uuid:token_id>/revoke")
@requires("login")
def revoke_token(token_id: UUID) -> ResponseReturnValue:
    """End one of the user's tokens."""
    services().tokens.revoke(str(token_id), user=current_access().user)
    return redirect("/tokens", 303)


def _page(secret: str = "", error: str = "") -> str:
    access, service = current_access(), services()
    return render_template(
        "tokens.html",
        tokens=service.tokens.list(access.user),
        actions=_grantable(),
        max_days=service.settings.token_max_days,
        secret=secret,
        error=error,
    )


def _grantable() -> list[str]:
    return [action for action in ACTIONS if current_access().may(action)]


def _read_form() -> tuple[str, list[str], int]:
    label = " ".join(request.form.get("label", "").split())
    if not 1 <= len(label) <= 100:
        raise ValueError("a name has 1 to 100 characters")
    actions = request.form.getlist("actions")
    if not actions or not set(actions) <= set(_grantable()):
        raise ValueError("choose at least one of the actions that you may do yourself")
    days, longest = request.form.get("days", type=int), services().settings.token_max_days
    if days is None or not 1 <= days <= longest:
        raise ValueError(f"a token lives for 1 to {longest} days")
    return label, actions, days
