"""Logging in and out, and naming the purpose of use."""

from __future__ import annotations

import logging

from flask import Blueprint, redirect, render_template, request, session
from flask.typing import ResponseReturnValue

from common.auth.identity import Identity
from common.errors import NotFoundError, UnauthenticatedError
from common.web import safe_next
from website.audit_requests import AccessRecord
from website.authentication import SESSION_KEY
from website.context import services
from website.guard import requires

blueprint = Blueprint("login", __name__)
logger = logging.getLogger(__name__)
_MAX_PURPOSE = 200


@blueprint.get("/login")
@requires("public")
def show_login() -> ResponseReturnValue:
    """Show the form, or go to the provider."""
    target, service = safe_next(request.args.get("next")), services()
    if service.oidc is not None:
        session["target"] = target
        return service.oidc.go_to_provider()
    if service.accounts is None:
        raise NotFoundError
    return render_template("login.html", target=target, error="", name="")


@blueprint.get("/login/callback")
@requires("public")
def come_back() -> ResponseReturnValue:
    """Finish a login at the provider."""
    service = services()
    if service.oidc is None:
        raise NotFoundError
    service.login_address.hit(request.remote_addr or "")
    target = safe_next(session.get("target"))
    try:
        start_session(service.oidc.finish())
    except UnauthenticatedError as exc:
        session.clear()
        logger.warning("a login was refused", extra={"reason": str(exc), "address": request.remote_addr})
        AccessRecord.current().refused("a login failed")
        return render_template("logged_out.html", error=str(exc)), 401
    return redirect(target, 303)


@blueprint.get("/login/out")
@requires("public")
def show_logged_out() -> ResponseReturnValue:
    """Say that the session has ended; does not log in again by itself."""
    return render_template("logged_out.html", error="")


@blueprint.post("/login")
@requires("public")
def log_in() -> ResponseReturnValue:
    """Verify a password and begin a session."""
    accounts = services().accounts
    if accounts is None:
        raise NotFoundError
    name, target = request.form.get("name", "").strip(), safe_next(request.form.get("next"))
    _throttle(name)
    try:
        identity = accounts.authenticate(name, request.form.get("password", ""))
        start_session(identity)
    except UnauthenticatedError as exc:
        AccessRecord.current().refused("a login failed")
        if name in accounts.read():  # not what is no user name: people type passwords into that field
            AccessRecord.current().note(attempted=name)
        return render_template("login.html", target=target, error=str(exc), name=name), 401
    services().login_pair.clear(_pair(name))
    return redirect(target, 303)


def start_session(identity: Identity) -> None:
    """Begin a session for somebody whose login was just verified; nothing of the session before stays.

    Raises
    ------
    UnauthenticatedError
        An administrator disabled the user.
    """
    service = services()
    service.users.record_login(identity)
    session.clear()  # against session fixation; a new CSRF token, too
    address, agent = request.remote_addr or "", request.user_agent.string
    session[SESSION_KEY] = service.sessions.create(identity, address=address, agent=agent)
    AccessRecord.current().logged_in(identity)


@blueprint.post("/logout")
@requires("login")
def log_out() -> ResponseReturnValue:
    """End the session here, and wherever else it can be ended."""
    service = services()
    response = service.authenticator.log_out(request)
    if service.oidc is not None and not service.settings.sign_out_url:
        response.location = service.oidc.logout_url() or response.location
    session.clear()
    return response


@blueprint.get("/purpose")
@requires("login")
def show_purpose() -> ResponseReturnValue:
    """Ask for the purpose of use."""
    return render_template("purpose.html", target=safe_next(request.args.get("next")), error="")


@blueprint.post("/purpose")
@requires("login")
def name_purpose() -> ResponseReturnValue:
    """Keep the purpose of use for this session."""
    target = safe_next(request.form.get("next"))
    purpose = " ".join(request.form.get("purpose", "").split())
    if not 3 <= len(purpose) <= _MAX_PURPOSE:
        error = f"a project or approval number has 3 to {_MAX_PURPOSE} characters"
        return render_template("purpose.html", target=target, error=error), 400
    session["purpose"] = purpose
    return redirect(target, 303)


def _throttle(name: str) -> None:
    service = services()
    service.login_address.hit(request.remote_addr or "")
    service.login_user.hit(name)
    service.login_pair.hit(_pair(name))


def _pair(name: str) -> str:
    return f"{request.remote_addr} {name}"
