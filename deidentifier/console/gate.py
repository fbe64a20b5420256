"""The gate in front of the console: logins, sessions, who may act, CSRF, an audit row for every request."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

from flask import Blueprint, Flask, Response, current_app, g, redirect, render_template, request, session
from flask.typing import ResponseReturnValue

from common.audit import AuditTrail
from common.auth.accounts import Accounts
from common.auth.limits import RateLimit
from common.auth.sessions import Sessions
from common.auth.users import Users
from common.database import Database
from common.errors import RefusedError, UnauthenticatedError
from common.web import safe_next
from deidentifier.console.settings import ConsoleSettings

SCHEMA = "ingest"
ADMINISTRATORS = "admin"
_TOKEN = "token"  # noqa: S105 - the name of a key, no secret
View = TypeVar("View", bound=Callable[..., Any])
blueprint = Blueprint("login", __name__)


@dataclass(frozen=True)
class Gate:
    """What the gate needs in one process."""

    accounts: Accounts
    users: Users
    sessions: Sessions
    audit: AuditTrail
    attempts: RateLimit

    @classmethod
    def build(cls, settings: ConsoleSettings, database: Database) -> Gate:
        """Make it from the settings."""
        idle, absolute = timedelta(minutes=settings.session_idle_minutes), timedelta(hours=settings.session_hours)
        return cls(
            Accounts(Path(settings.accounts_file)),
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
    return ADMINISTRATORS in g.identity.groups


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
        token = session.get(_TOKEN)
        found = gate().sessions.find(token) if isinstance(token, str) else None
        if found is None:
            return redirect("/login?" + urlencode({"next": request.full_path.rstrip("?")}))
        # The accounts file decides now: groups taken away, or an account disabled, count at once.
        g.identity = found.identity
        if gate().accounts.groups(found.identity.user) != found.identity.groups:
            gate().sessions.revoke(found.id)
            raise UnauthenticatedError("the account has changed: log in again")
        view = app.view_functions[request.endpoint]
        if vars(view).get("administrators_only") and not may_decide():
            gate().audit.append({**_who(), "phase": "refused"})
            raise RefusedError(f"only accounts of the group {ADMINISTRATORS} may do this")
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


@blueprint.get("/login")
def show_login() -> ResponseReturnValue:
    """Show the form."""
    return render_template("login.html", target=safe_next(request.args.get("next")), error="", name="")


@blueprint.post("/login")
def log_in() -> ResponseReturnValue:
    """Verify a password and begin a session."""
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
    token = session.get(_TOKEN)
    found = gate().sessions.find(token) if isinstance(token, str) else None
    if found is not None:
        gate().sessions.revoke(found.id)
    session.clear()
    return redirect("/login", 303)
