"""The console of the ingest side: what came in, what became of it, and what waits for a person.

A small application with accounts of its own, on the ingest network: it shows originals, which never leave this side.
"""

from __future__ import annotations

import atexit
from datetime import timedelta

from flask import Flask
from flask_bootstrap import Bootstrap5
from flask_wtf.csrf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from common.look import look
from common.web import install_security_headers, origins
from deidentifier.console import originals, views
from deidentifier.console.error_pages import install_error_pages
from deidentifier.console.gate import Gate, install_gate
from deidentifier.console.peers import Console
from deidentifier.console.settings import ConsoleSettings


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
    app.register_blueprint(look)
    CSRFProtect(app)
    app.register_blueprint(views.blueprint)
    app.register_blueprint(originals.blueprint)
    install_gate(app)
    install_security_headers(app, secure=settings.secure_cookies, form_targets=origins(settings.sign_out_url))
    install_error_pages(app)
    atexit.register(app.extensions["gate"].audit.close)
    return app
