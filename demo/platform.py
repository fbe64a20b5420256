"""The whole platform on one machine: servers, migrations, services of both sides."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import requests

from common.auth.accounts import Accounts
from common.database import Database
from common.errors import ConfigurationError
from demo.processes import ROOT, Service, Supervisor
from demo.servers.orthanc import OrthancServer, start_orthanc
from demo.servers.postgresql import SUPERUSER, PostgreSQL, start_postgresql
from demo.servers.process import require_free, wait_until
from demo.servers.s3 import S3Server, start_s3
from demo.state import State, load_state

DATABASE = "research_pacs"
PERMISSIONS = Path(__file__).parent / "permissions.yaml"
RULES = ROOT / "deidentifier" / "default-rules.yaml"
RESEARCHER, ADMINISTRATOR = "researcher", "admin"


class Platform:
    """Everything that the demo runs.

    Parameters
    ----------
    folder
        Keeps the state of all servers, the ports and the passwords.
    say
        Receives what a person should read.
    rules
        The rules file.
    environ
        Further variables for our services (tests shorten intervals).
    """

    def __init__(
        self,
        folder: Path,
        say: Callable[[str], None],
        *,
        rules: Path = RULES,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self._rules = folder.resolve(), rules.resolve()
        self.state: State = load_state(self.folder)
        self._say, self._extra = say, dict(environ or {})
        self._supervisor = Supervisor(self.folder / "demo.log", say)
        self._stack = contextlib.ExitStack()
        self.postgresql: PostgreSQL
        self.s3: S3Server
        self.source: OrthancServer
        self.research: OrthancServer

    def __enter__(self) -> Platform:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def portal_url(self) -> str:
        """Where researchers log in."""
        return f"http://127.0.0.1:{self.state.portal}"

    @property
    def console_url(self) -> str:
        """Where administrators of the ingest side log in."""
        return f"http://127.0.0.1:{self.state.console}"

    def start(self) -> None:
        """Start the servers side by side, then migrate, then start our services.

        Raises
        ------
        ConfigurationError
            A port is taken, the rules are wrong, a server is not installed or does not start.
        """
        require_free(self.state.portal, "the portal")
        require_free(self.state.console, "the console")
        check = [sys.executable, "-m", "deidentifier", "check", str(self._rules)]
        self._supervisor.run(Service("rules", check, {}))
        self._say("Starting PostgreSQL, S3 and two Orthancs …")
        self._start_servers()
        self._make_database()
        for side in ("deidentifier", "website"):
            self._supervisor.run(
                Service(f"{side} migrate", [sys.executable, "-m", side, "migrate"], self._migrations())
            )
        self._add_accounts()
        self._say("Starting the de-identifier, the portal and its workers …")
        for service in self._services():
            self._supervisor.start(service)
        wait_until(self._portal_answers, "the portal", seconds=60)

    def stop(self) -> None:
        """Stop everything, our services first."""
        self._supervisor.stop()
        self._stack.close()

    def check(self) -> None:
        """Raise :class:`ConfigurationError` when a service of ours has ended by itself."""
        if ended := self._supervisor.ended():
            lines = "\n".join(ended.values())
            raise ConfigurationError(f"{', '.join(ended)} ended (all lines are in {self.folder}/demo.log):\n{lines}")

    def owner(self) -> Database:
        """Return a pool of the database's owner, for the demo's own counting."""
        return self.postgresql.database(DATABASE)

    def _start_servers(self) -> None:
        state, folder = self.state, self.folder
        starts: dict[str, Callable[[], PostgreSQL | S3Server | OrthancServer]] = {
            "postgresql": lambda: start_postgresql(folder / "postgresql", port=state.postgresql),
            "s3": lambda: start_s3(
                folder / "s3", port=state.s3, access_key=state.s3_access_key, secret_key=state.s3_secret_key
            ),
            "source": lambda: start_orthanc(
                folder / "source",
                "source",
                http_port=state.source_http,
                dicom_port=state.source_dicom,
                password=state.source_password,
            ),
            "research": lambda: start_orthanc(
                folder / "research",
                "research",
                http_port=state.research_http,
                dicom_port=state.research_dicom,
                password=state.research_password,
            ),
        }
        with ThreadPoolExecutor(len(starts)) as pool:
            futures = {name: pool.submit(self._start_server, name, start) for name, start in starts.items()}
        for future in futures.values():
            future.result()

    def _start_server(self, name: str, start: Callable[[], PostgreSQL | S3Server | OrthancServer]) -> None:
        server = start()
        self._stack.callback(server.stop)
        setattr(self, name, server)

    def _make_database(self) -> None:
        with contextlib.suppress(psycopg2.errors.DuplicateDatabase):
            self.postgresql.execute(f"CREATE DATABASE {DATABASE}")

    def _add_accounts(self) -> None:
        for side, file, user, password, group in (
            ("website", "accounts.yaml", RESEARCHER, self.state.researcher_password, "researchers"),
            ("website", "accounts.yaml", ADMINISTRATOR, self.state.administrator_password, "admin"),
            ("deidentifier", "console-accounts.yaml", ADMINISTRATOR, self.state.console_password, "admin"),
        ):
            if user in _users(self.folder / file):
                continue
            command = [sys.executable, "-m", side, "users", "--file", str(self.folder / file), "add", user]
            service = Service(f"{side} users", [*command, "--groups", group], self._website())
            self._supervisor.run(service, given=password + "\n")

    def _database(self, role: str, password: str) -> dict[str, str]:
        return {
            "RPACS_POSTGRESQL_HOSTNAME": self.postgresql.host,
            "RPACS_POSTGRESQL_PORT": str(self.postgresql.port),
            "RPACS_POSTGRESQL_DB_NAME": DATABASE,
            "RPACS_POSTGRESQL_USERNAME": role,
            "RPACS_POSTGRESQL_PASSWORD": password,
            "RPACS_LOG_RECORD_TIME": "yes",
            **self._extra,
        }

    def _migrations(self) -> dict[str, str]:
        return self._database(SUPERUSER, self.postgresql.password) | {
            "RPACS_DEIDENTIFIER_POSTGRESQL_PASSWORD": self.state.deidentifier_database_password,
            "RPACS_REIDENTIFY_POSTGRESQL_PASSWORD": self.state.reidentify_database_password,
            "RPACS_WEBSITE_POSTGRESQL_PASSWORD": self.state.website_database_password,
        }

    def _deidentifier(self) -> dict[str, str]:
        return self._database("rpacs_deidentifier", self.state.deidentifier_database_password) | {
            "RPACS_SOURCE_ORTHANC_HOSTNAME": self.source.url,
            "RPACS_SOURCE_ORTHANC_USERNAME": self.source.username,
            "RPACS_SOURCE_ORTHANC_PASSWORD": self.source.password,
            "RPACS_DESTINATION_ORTHANC_HOSTNAME": self.research.url,
            "RPACS_DESTINATION_ORTHANC_USERNAME": self.research.username,
            "RPACS_DESTINATION_ORTHANC_PASSWORD": self.research.password,
            "RPACS_DEFAULT_CONFIG_FILE": str(self._rules),
        }

    def _website(self) -> dict[str, str]:
        return self._database("rpacs_website", self.state.website_database_password) | {
            "RPACS_ORTHANC_HOSTNAME": self.research.url,
            "RPACS_ORTHANC_USERNAME": self.research.username,
            "RPACS_ORTHANC_PASSWORD": self.research.password,
            "RPACS_PERMISSIONS_FILE": str(PERMISSIONS),
            "RPACS_AUTHENTICATION": "local",
            "RPACS_ACCOUNTS_FILE": str(self.folder / "accounts.yaml"),
            "RPACS_PUBLIC_URL": self.portal_url,
            "RPACS_SECRET_KEY": self.state.secret_key,
            "RPACS_AUDIT_KEY": self.state.audit_key,
            "RPACS_LOG_FILE": str(self.folder / "access.log"),
            **self._exports(),
        }

    def _exports(self) -> dict[str, str]:
        """Let exports go to the demo's own S3 server, with its keys."""
        (self.s3.folder / "exports").mkdir(exist_ok=True)
        file = self.folder / "destinations.yaml"
        file.write_text(
            "Destinations:\n  demo:\n    Description: A bucket of the demo's own S3 server.\n"
            f"    Bucket: exports\n    Endpoint: {self.s3.url}\n"
        )
        return {
            "RPACS_EXPORT_KEY": self.state.export_key,
            "RPACS_EXPORT_ENDPOINTS": self.s3.url,
            "RPACS_EXPORT_DESTINATIONS_FILE": str(file),
            "AWS_ACCESS_KEY_ID": self.s3.access_key,
            "AWS_SECRET_ACCESS_KEY": self.s3.secret_key,
        }

    def _console(self) -> dict[str, str]:
        return self._deidentifier() | {
            "RPACS_CONSOLE_PORT": str(self.state.console),
            "RPACS_CONSOLE_PUBLIC_URL": self.console_url,
            "RPACS_CONSOLE_ACCOUNTS_FILE": str(self.folder / "console-accounts.yaml"),
            "RPACS_CONSOLE_SECRET_KEY": self.state.console_secret_key,
            "RPACS_CONSOLE_AUDIT_KEY": self.state.console_audit_key,
        }

    def _services(self) -> list[Service]:
        gunicorn = [sys.executable, "-m", "gunicorn", "website.wsgi:app", "--bind", f"127.0.0.1:{self.state.portal}"]
        gunicorn += ["--config", "python:website.gunicorn_settings", "--no-control-socket"]
        return [
            Service("de-identifier", [sys.executable, "-m", "deidentifier", "work"], self._deidentifier()),
            Service("console", [sys.executable, "-m", "deidentifier", "console"], self._console()),
            Service("workers", [sys.executable, "-m", "website", "work"], self._website()),
            Service("portal", gunicorn, self._website()),
        ]

    def _portal_answers(self) -> bool:
        self.check()
        try:
            return requests.get(f"{self.portal_url}/healthcheck", timeout=2).ok
        except requests.RequestException:
            return False


def _users(file: Path) -> set[str]:
    return set(Accounts(file).read()) if file.exists() else set()
