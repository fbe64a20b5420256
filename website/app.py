"""The portal as a WSGI application."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask
from flask_bootstrap import Bootstrap5
from flask_wtf.csrf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from common.database import Database
from common.look import look
from common.storage import Storage
from common.web import install_security_headers
from website.audit_requests import install_audit
from website.dicomweb.roots import strip_roots
from website.error_pages import install_error_pages
from website.guard import install_guard
from website.programs import mount_api
from website.services import build_services
from website.settings import WebsiteSettings
from website.static_files import install_static_files
from website.views import blueprints
from website.views.identifiers import install_converters


def create_app(settings: WebsiteSettings, *, database: Database | None = None, storage: Storage | None = None) -> Flask:
    """Make the application.

    Parameters
    ----------
    settings
        What :func:`website.settings.load_settings` read.
    database
        A pool logged in as ``rpacs_website``; by default the one that the settings describe.
    storage
        Reads the permissions file; by default the one that the settings describe.

    Raises
    ------
    ResearchPacsError
        The permissions file or the accounts file does not load, or a peer that is needed at start is away.
    """
    app = Flask(__name__)
    _configure(app, settings)
    service = build_services(
        settings,
        database or Database.from_settings(settings, application="research-pacs-website", max_connections=16),
        storage or Storage(endpoint=settings.s3_endpoint, region=settings.aws_region),
    )
    app.extensions["research_pacs"] = service
    Bootstrap5(app)
    app.register_blueprint(look)
    csrf = CSRFProtect()
    csrf.init_app(app)
    install_converters(app)
    for blueprint in blueprints():
        app.register_blueprint(blueprint)
    install_static_files(app)
    install_error_pages(app)
    install_security_headers(app, secure=settings.secure_cookies, form_targets=service.authenticator.form_targets)
    install_audit(app)
    install_guard(app, csrf)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)  # type: ignore[method-assign]
    app.wsgi_app = mount_api(app.wsgi_app)  # type: ignore[method-assign, assignment]
    app.wsgi_app = strip_roots(app.wsgi_app)  # type: ignore[method-assign, assignment]
    return app


def _configure(app: Flask, settings: WebsiteSettings) -> None:
    prefix = "__Host-" if settings.secure_cookies else ""  # bound to this host, path / and TLS (RFC 6265bis)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SESSION_COOKIE_NAME=f"{prefix}research-pacs",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=settings.session_hours),
        WTF_CSRF_CHECK_DEFAULT=False,  # the guard checks, after it knows whether a cookie authenticates
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session
        BOOTSTRAP_SERVE_LOCAL=True,
        TRUSTED_HOSTS=None,
        TEMPLATES_AUTO_RELOAD=False,
    )
    app.jinja_env.autoescape = True
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
