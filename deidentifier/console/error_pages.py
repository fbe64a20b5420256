"""Errors of the console as pages: what happened, and what to do about it."""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Flask, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from common.auth.limits import TooManyError
from common.errors import NotFoundError, RefusedError, ResearchPacsError, TransientError, UnauthenticatedError
from common.log import describe_exception

logger = logging.getLogger(__name__)

# Status: what happened, what to do.
_AGAIN = "do again what you were about to do."
_PAGES = {
    400: (
        "The form is too old.",
        f"Your session may have ended. Load the page again, log in if you are asked to, and {_AGAIN}",
    ),
    401: ("You are not logged in.", f"Log in, then {_AGAIN}"),
    403: ("You may not do this.", "Ask those who keep the accounts of this console."),
    404: ("There is no such page.", "The address may be old or mistyped."),
    405: ("This is not done that way.", "Use the buttons of the page."),
    413: ("The request is too large.", "Use the forms of the console."),
    422: (
        "This cannot be shown.",
        "The original stays where it is: discard it, or try again once the rules are mended.",
    ),
    429: ("Too many requests.", "Wait, then reload this page."),
    500: (
        "Something went wrong here; it has been logged.",
        "Try again. If it stays so, look into the console's log at this time.",
    ),
    503: (
        "A part of the platform does not answer.",
        "Nothing is lost: reload this page in a minute. If it stays so, see whether PostgreSQL and both Orthancs run.",
    ),
}
# A peer's "not found" names its own paths, which help nobody here.
_GONE = (
    "There is no such task, or its original is gone.",
    "Originals are deleted once a task is done or discarded; the task's page tells when that was.",
)


def install_error_pages(app: Flask) -> None:
    """Register the answers."""
    statuses: list[tuple[type[ResearchPacsError], int]] = [
        (UnauthenticatedError, 401),
        (TooManyError, 429),
        (RefusedError, 403),
        (ResearchPacsError, 422),
    ]
    for kind, status in statuses:
        app.register_error_handler(kind, lambda exc, status=status: _page(status, str(exc)))
    # Which peer, not what was asked of it.
    app.register_error_handler(TransientError, lambda exc: _page(503, str(exc).rpartition(": ")[2]))
    app.register_error_handler(NotFoundError, lambda exc: _page(404, page=_GONE))
    app.register_error_handler(CSRFError, lambda exc: _page(400))
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _http(exc: HTTPException) -> ResponseReturnValue:
    status = exc.code or 500
    return _page(status, page=_PAGES.get(status) or (f"{HTTPStatus(status).phrase}.", "Go back and try again."))


def _unexpected(exc: Exception) -> ResponseReturnValue:
    logger.error("a request failed\n%s", describe_exception(exc))
    return _page(500)


def _page(status: int, detail: str = "", *, page: tuple[str, str] | None = None) -> ResponseReturnValue:
    sentence, remedy = page or _PAGES[status]
    shown = {"status": status, "sentence": sentence, "remedy": remedy, "detail": detail, "back": way_back("")}
    return render_template("error.html", **shown), status


def way_back(otherwise: str) -> str:
    """Return the page of the task that a request is about, unless it is that page itself."""
    task = (request.view_args or {}).get("task")
    if task is None or request.endpoint == "views.show_task":
        return otherwise
    return url_for("views.show_task", task=task)
