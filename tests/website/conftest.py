"""The portal as an application under test, on a real database, with users of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flask
import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_wtf.csrf import generate_csrf

from common.auth.identity import Identity
from common.auth.passwords import hash_password
from common.storage import Storage
from website.app import create_app
from website.authentication import SESSION_KEY
from website.settings import load_settings

ORIGIN = "http://localhost"
PASSWORD = "correct horse battery"
# scrypt is slow on purpose: one hash serves every account of the session.
_HASH = hash_password(PASSWORD)

GROUPS = {
    "nobody": (),
    "ct": ("ct",),
    "viewer": ("viewers",),
    "denied": ("denied",),
    "full": ("full",),
    "admin": ("admin",),
    "auditor": ("auditors",),
}
PERMISSIONS = """
Profiles:
  Admin:
    Description: Everything
    Admin: true
    OrthancPathPatterns: {Allow: ANY **}
  AuditOnly: {Admin: true}
  Full: {Description: Every instance, Store: true}
  CtOnly: {Description: CT only, DICOMQueryFilter: Modality StrEquals CT}
  ViewCt: {DICOMQueryFilter: Modality StrEquals CT, Download: false, Export: false}
  NoChanges:
    OrthancPathPatterns:
      Allow: [ANY /instances/**, GET /system, GET /app/**]
      Deny: [DELETE **, GET /instances/*/file, GET /instances/*/attachments/**]
  Metadata:
    OrthancPathPatterns: {Allow: GET /instances/*/tags}
Permissions:
  - {Groups: admin, Profiles: Admin}
  - {Groups: auditors, Profiles: AuditOnly}
  - {Groups: full, Profiles: Full}
  - {Groups: ct, Profiles: CtOnly}
  - {Groups: viewers, Profiles: ViewCt}
  - {Groups: denied, Profiles: [NoChanges, Metadata]}
"""


class ClosingClient(FlaskClient):
    """A browser that reads answers to their end and closes them, as servers do: only then a request is over."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.environ_base = {**self.environ_base, "HTTP_ACCEPT": "text/html,*/*;q=0.8"}

    def open(self, *args: Any, **kwargs: Any) -> Any:
        return super().open(*args, **{"buffered": True, **kwargs})


@dataclass
class Portal:
    """An application with its database, and clients that are logged in."""

    app: Flask
    database: Any
    environ: dict[str, str]
    log_file: Path
    clients: dict[str, FlaskClient] = field(default_factory=dict)

    @property
    def services(self) -> Any:
        """What the application holds."""
        return self.app.extensions["research_pacs"]

    def client(self, user: str | None = None) -> FlaskClient:
        """Return a new client, logged in as one of the users unless there is none."""
        client = self.app.test_client()
        if user is not None:
            identity = Identity(user, frozenset(GROUPS[user]), "local")
            self.services.users.record_login(identity)
            token = self.services.sessions.create(identity, address="127.0.0.1", agent="test")
            with client.session_transaction() as session:
                session[SESSION_KEY] = token
        return client

    def csrf(self, client: FlaskClient) -> str:
        """Return a CSRF token that belongs to a client's session."""
        with client.session_transaction() as session, self.app.test_request_context():
            flask.session.update(session)
            token: str = generate_csrf()
            session["csrf_token"] = flask.session["csrf_token"]
        return token

    def rows(self) -> list[dict[str, Any]]:
        """Return the entries of the audit trail, after what waits was written."""
        self.services.minutes.complete(everything=True)
        self.services.audit.append({"action": "flush"})
        with self.database.owner.transaction() as cursor:
            cursor.execute("SELECT entry FROM research.audit WHERE action <> 'flush' ORDER BY seq")
            return [row[0] for row in cursor.fetchall()]


@pytest.fixture
def portal_environ(research_database, tmp_path) -> Callable[..., dict[str, str]]:
    """Give a function that returns the environment variables of a portal of the test's own."""

    def make(**variables: str) -> dict[str, str]:
        accounts = tmp_path / "accounts.yaml"
        lines = [
            f"  {name}: {{groups: [{', '.join(groups)}], password: {_HASH}, disabled: false}}"
            for name, groups in GROUPS.items()
        ]
        accounts.write_text("users:\n" + "\n".join(lines) + "\n")
        permissions = tmp_path / "permissions.yaml"
        permissions.write_text(PERMISSIONS)
        return {
            **research_database.environ("rpacs_website"),
            "RPACS_ORTHANC_HOSTNAME": "http://127.0.0.1:9",
            "RPACS_ORTHANC_USERNAME": "orthanc",
            "RPACS_ORTHANC_PASSWORD": "orthanc",
            "RPACS_PERMISSIONS_FILE": str(permissions),
            "RPACS_AUTHENTICATION": "local",
            "RPACS_ACCOUNTS_FILE": str(accounts),
            "RPACS_PUBLIC_URL": ORIGIN,
            "RPACS_SECRET_KEY": "s" * 32,
            "RPACS_AUDIT_KEY": "a" * 32,
            "RPACS_LOG_FILE": str(tmp_path / "access.log"),
            "RPACS_VIEWER_FOLDER": str(tmp_path / "no-viewer"),
            **variables,
        }

    return make


@pytest.fixture
def make_portal(portal_environ, research_database) -> Iterator[Callable[..., Portal]]:
    """Give a function that makes a portal: ``make_portal(RPACS_PURPOSE_OF_USE="yes")``."""
    made: list[Portal] = []

    def make(**variables: str) -> Portal:
        environ = portal_environ(**variables)
        app = create_app(load_settings(environ), storage=Storage())
        app.testing = True
        app.test_client_class = ClosingClient
        app.config["PROPAGATE_EXCEPTIONS"] = False  # errors are answered as in production
        made.append(Portal(app, research_database, environ, Path(environ["RPACS_LOG_FILE"])))
        return made[-1]

    yield make
    for portal in made:
        portal.services.minutes.close()
        portal.services.audit.close()
        portal.services.access_log.close()
        portal.services.database.close()


@pytest.fixture
def portal(make_portal) -> Portal:
    """Give a portal with local accounts."""
    return make_portal()
