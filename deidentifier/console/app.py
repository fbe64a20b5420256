"""The console of the ingest side: what came in, what became of it, and what waits for a person.

A small application with accounts of its own, on the ingest network: it shows originals, which never leave this side.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable
from datetime import timedelta

from flask import Flask, render_template
from flask.typing import ResponseReturnValue
from flask_bootstrap import Bootstrap5
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from common.errors import (
    NotFoundError,
    RefusedError,
    ResearchPacsError,
    TransientError,
    UnauthenticatedError,
)
from common.log import describe_exception
from common.web import install_security_headers, origins
from deidentifier.console import originals, views
from deidentifier.console.gate import Gate, install_gate
from deidentifier.console.peers import Console
from deidentifier.console.settings import ConsoleSettings

logger = logging.getLogger(__name__)


def create_app(settings: ConsoleSettings) -> Flask:
    """Make the application."""
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SESSION_COOKIE_NAME="__Host-research-pacs-console" if settings.secure_cookies else "research-pacs-console",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        SESSION_COOKIE_SAMESITE="Strict",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=settings.session_hours),
        BOOTSTRAP_SERVE_LOCAL=True,
        MAX_CONTENT_LENGTH=2**20,
        WTF_CSRF_TIME_LIMIT=None,
    )
    console = Console.from_settings(settings, "deidentifier console")
    app.extensions["console"] = console
    app.extensions["gate"] = Gate.build(settings, console.database)
    if settings.authentication == "alb":
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)  # type: ignore[method-assign]  # Flask's own advice
    Bootstrap5(app)
    CSRFProtect(app)
    app.register_blueprint(views.blueprint)
    app.register_blueprint(originals.blueprint)
    install_gate(app)
    install_security_headers(app, secure=settings.secure_cookies, form_targets=origins(settings.sign_out_url))
    _install_errors(app)
    atexit.register(app.extensions["gate"].audit.close)
    return app


def _install_errors(app: Flask) -> None:
    sentences: list[tuple[type[Exception], int, str]] = [
        (UnauthenticatedError, 401, "Log in again."),
        (RefusedError, 403, "You may not do this."),
        (NotFoundError, 404, "There is no such task, or its original is gone."),
        (TransientError, 503, "A part of the platform does not answer: try again later."),
        (ResearchPacsError, 422, "This cannot be shown."),
        (CSRFError, 400, "The form is too old: reload the page and try again."),
    ]
    for kind, status, sentence in sentences:
        app.register_error_handler(kind, _answer(status, sentence))

    @app.errorhandler(HTTPException)
    def http_error(exc: HTTPException) -> ResponseReturnValue:
        status = exc.code or 500
        return render_template("error.html", status=status, sentence=exc.name, detail=""), status

    @app.errorhandler(Exception)
    def unexpected(exc: Exception) -> ResponseReturnValue:
        logger.error("a request failed\n%s", describe_exception(exc))
        sentence = "Something went wrong here; it has been logged."
        return render_template("error.html", status=500, sentence=sentence, detail=""), 500


def _answer(status: int, sentence: str) -> Callable[[Exception], ResponseReturnValue]:
    def answer(exc: Exception) -> ResponseReturnValue:
        detail = str(exc) if isinstance(exc, ResearchPacsError) else ""
        return render_template("error.html", status=status, sentence=sentence, detail=detail), status

    return answer
