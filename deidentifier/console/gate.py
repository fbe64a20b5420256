"""The gate in front of the console: logins, sessions, who may act, CSRF, an audit row for every request."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    current_app,
    flash,
    g,
    make_response,
    redirect,
    render_template,
    request,
    session,
)
from flask.typing import ResponseReturnValue

from common.audit import AuditTrail
from common.auth.accounts import Accounts
from common.auth.alb import ACCESS_HEADER, DATA_HEADER, AlbVerifier
from common.auth.identity import Identity
from common.auth.limits import RateLimit
from common.auth.sessions import Sessions
from common.auth.users import Users
from common.database import Database
from common.errors import RefusedError, UnauthenticatedError
from common.web import expire_cookies, safe_next
from deidentifier.console.error_pages import way_back
from deidentifier.console.settings import ConsoleSettings

SCHEMA = "ingest"
_TOKEN = "token"  # noqa: S105 - the name of a key, no secret
View = TypeVar("View", bound=Callable[..., Any])
blueprint = Blueprint("login", __name__)


@dataclass(frozen=True)
class Gate:
    """What the gate needs in one process."""

    administrators: str
    sign_out_url: str
    accounts: Accounts
    verifier: AlbVerifier | None
    users: Users
    sessions: Sessions
    audit: AuditTrail
    attempts: RateLimit

    @classmethod
    def build(cls, settings: ConsoleSettings, database: Database) -> Gate:
        """Make it from the settings."""
        idle, absolute = timedelta(minutes=settings.session_idle_minutes), timedelta(hours=settings.session_hours)
        region, behind_balancer = settings.aws_region, settings.authentication == "alb"
        return cls(
            settings.administrators,
            settings.sign_out_url,
            Accounts(Path(settings.accounts_file)),
            AlbVerifier(settings.alb_configuration(region)) if behind_balancer else None,
            Users(database, SCHEMA, max_age=absolute),
            Sessions(database, SCHEMA, idle=idle, absolute=absolute),
            AuditTrail(database, SCHEMA, settings.audit_key),
            RateLimit(database, SCHEMA, name="console-login", limit=10, window=timedelta(minutes=15)),
        )


def gate() -> Gate:
    """Return the gate of the application that handles this request."""
    return cast(Gate, current_app.extensions["gate"])


def may_decide() -> bool:
    """Tell whether this user may see originals and decide about tasks."""
    return gate().administrators in g.identity.groups


def administrators_only(view: View) -> View:
    """Mark a view that shows an original or changes what happens to one."""
    vars(view)["administrators_only"] = True
    return view


def install_gate(app: Flask) -> None:
    """Put the gate in front of every request."""
    app.register_blueprint(blueprint)

    @app.before_request
    def check() -> ResponseReturnValue | None:
        g.started = time.monotonic()
        if request.endpoint is None or request.endpoint.endswith("static"):
            return None
        if request.blueprint == blueprint.name or request.endpoint == "views.healthcheck":
            return None
        identity = _identify()
        if identity is None:
            return redirect("/login?" + urlencode({"next": _after_login()}))
        g.identity = identity
        view = app.view_functions[request.endpoint]
        # The balancer lets everybody of the user pool through: only administrators have any business here.
        closed = gate().verifier is not None or vars(view).get("administrators_only")
        if closed and not may_decide():
            gate().audit.append({**_who(), "phase": "refused"})
            raise RefusedError(f"only accounts of the group {gate().administrators} may do this")
        gate().audit.append({**_who(), "phase": "begin"})
        return None

    @app.after_request
    def complete(response: Response) -> Response:
        if "identity" in g:
            milliseconds = round((time.monotonic() - g.started) * 1000)
            gate().audit.append_later(
                {**_who(), "phase": "end", "status": response.status_code, "milliseconds": milliseconds}
            )
        return response


def _after_login() -> str:
    """Return where to go after a login; what a form asked for is not done then, and its address shows nothing."""
    if request.method == "GET":
        return request.full_path.rstrip("?")
    flash("Your session had ended: log in, then do again what you were about to do.", "warning")
    return way_back("/")


def _identify() -> Identity | None:
    """Return who sends this request; None where they have to log in first.

    Raises
    ------
    UnauthenticatedError
        What they show does not hold, or no longer.
    """
    if (verifier := gate().verifier) is not None:
        return verifier.verify(request.headers.get(DATA_HEADER), request.headers.get(ACCESS_HEADER))
    token = session.get(_TOKEN)
    found = gate().sessions.find(token) if isinstance(token, str) else None
    if found is None:
        return None
    # The accounts file decides now: groups taken away, or an account disabled, count at once.
    if gate().accounts.groups(found.identity.user) != found.identity.groups:
        gate().sessions.revoke(found.id)
        raise UnauthenticatedError("the account has changed: log in again")
    return found.identity


def note(action: str, **details: Any) -> None:
    """Append what is about to be done to the audit trail; it is committed first."""
    gate().audit.append({**_who(), "phase": "decision", "decision": action, **details})


def _who() -> dict[str, Any]:
    return {
        "user": g.identity.user,
        "groups": g.identity.groups,
        "address": request.remote_addr,
        "action": request.endpoint,
        "method": request.method,
        "path": request.path,
    }


def _require_form() -> None:
    if gate().verifier is not None:  # the balancer logs in: a password is no second door
        abort(404)


@blueprint.get("/login")
def show_login() -> ResponseReturnValue:
    """Show the form."""
    _require_form()
    return render_template("login.html", target=safe_next(request.args.get("next")), error="", name="")


@blueprint.post("/login")
def log_in() -> ResponseReturnValue:
    """Verify a password and begin a session."""
    _require_form()
    name, target = request.form.get("name", "").strip(), safe_next(request.form.get("next"))
    gate().attempts.hit(f"{request.remote_addr} {name}")
    try:
        identity = gate().accounts.authenticate(name, request.form.get("password", ""))
        gate().users.record_login(identity)
    except UnauthenticatedError as exc:
        return render_template("login.html", target=target, error=str(exc), name=name), 401
    session.clear()
    session[_TOKEN] = gate().sessions.create(
        identity, address=request.remote_addr or "", agent=request.user_agent.string
    )
    g.identity = identity
    gate().audit.append({**_who(), "phase": "login"})
    return redirect(target, 303)


@blueprint.post("/logout")
def log_out() -> ResponseReturnValue:
    """End the session."""
    if gate().verifier is not None:
        response = make_response(redirect(gate().sign_out_url or "/", 303))
        expire_cookies(request, response)
        return response
    token = session.get(_TOKEN)
    found = gate().sessions.find(token) if isinstance(token, str) else None
    if found is not None:
        gate().sessions.revoke(found.id)
    session.clear()
    return redirect("/login", 303)
