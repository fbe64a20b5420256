"""Real servers, started once per test session (and per xdist worker) on free ports, and clean state per test."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import hypothesis
import pytest
import requests
from botocore.config import Config
from playwright.sync_api import Browser, Page, sync_playwright

from common.database import Database
from deidentifier.commands.migrate import migrate_ingest
from demo.samples import sample_paths
from demo.servers.orthanc import OrthancServer, start_orthanc
from demo.servers.postgresql import PostgreSQL, start_postgresql
from demo.servers.s3 import S3Server, start_s3
from website.commands.migrate import migrate_research

_numbers = itertools.count(1)
# How long an example takes tells of the machine's load, not of the code.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")
# Tests never speak to Amazon, whatever the machine is configured for.
os.environ.update(
    AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file, and those that share the running platform, in one process of pytest-xdist."""
    for item in items:
        group = "platform" if "platform" in getattr(item, "fixturenames", ()) else item.path.as_posix()
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory) -> Iterator[PostgreSQL]:
    """Give the PostgreSQL of this session."""
    server = start_postgresql(tmp_path_factory.mktemp("postgresql"), durable=False)
    yield server
    server.stop()


@dataclass
class TestDatabase:
    """One database of the test's own: the superuser's pool, and how to log in."""

    __test__ = False

    name: str
    server: PostgreSQL
    owner: Database

    def login(self, role: str) -> Database:
        """Return a pool logged in as a service's role (its password is its name)."""
        return Database(self.server.dsn(self.name, role, role))

    def environ(self, role: str) -> dict[str, str]:
        """Return the environment variables of a process that logs in as a role."""
        owner = role == self.server.superuser
        return {
            "RPACS_POSTGRESQL_HOSTNAME": self.server.host,
            "RPACS_POSTGRESQL_PORT": str(self.server.port),
            "RPACS_POSTGRESQL_DB_NAME": self.name,
            "RPACS_POSTGRESQL_USERNAME": role,
            "RPACS_POSTGRESQL_PASSWORD": self.server.password if owner else role,
        }


@pytest.fixture
def make_database(postgresql) -> Iterator[Callable[..., TestDatabase]]:
    """Give a function that clones a template into a new database."""
    made: list[TestDatabase] = []

    def make(template: str = "template1") -> TestDatabase:
        name = f"test_{os.getpid()}_{next(_numbers)}"
        postgresql.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        made.append(TestDatabase(name, postgresql, postgresql.database(name)))
        return made[-1]

    yield make
    for database in made:
        database.owner.close()
        postgresql.execute(f"DROP DATABASE {database.name} WITH (FORCE)")


@pytest.fixture
def database(make_database) -> TestDatabase:
    """Give a new, empty database."""
    return make_database()


def _make_template(server: PostgreSQL, name: str, migrate: Callable[[Database], object]) -> str:
    """Make a migrated database to clone; roles have their names as passwords (they belong to the whole server)."""
    server.execute(f"CREATE DATABASE {name}")
    database = server.database(name)
    migrate(database)
    database.close()
    return name


@pytest.fixture(scope="session")
def _ingest_template(postgresql, _research_template) -> str:
    return _make_template(
        postgresql,
        "template_ingest",
        lambda database: migrate_ingest(database, "rpacs_deidentifier", "rpacs_reidentify"),
    )


@pytest.fixture(scope="session")
def _research_template(postgresql) -> str:
    return _make_template(postgresql, "template_research", lambda database: migrate_research(database, "rpacs_website"))


@pytest.fixture
def ingest_database(make_database, _ingest_template) -> TestDatabase:
    """Give a new database with the schema ``ingest``."""
    return make_database(_ingest_template)


@pytest.fixture
def research_database(make_database, _research_template) -> TestDatabase:
    """Give a new database with the schema ``research``."""
    return make_database(_research_template)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory) -> Iterator[S3Server]:
    """Give the S3 server of this session."""
    server = start_s3(tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()


@dataclass
class Bucket:
    """A new bucket, and a client that may use it."""

    name: str
    client: Any
    server: S3Server


@pytest.fixture
def s3(s3_server, monkeypatch) -> Bucket:
    """Give a new bucket of the S3 server; its credentials are in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    client = boto3.client(
        "s3",
        endpoint_url=s3_server.url,
        region_name="us-east-1",
        aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
    )
    name = f"bucket-{os.getpid()}-{next(_numbers)}"
    client.create_bucket(Bucket=name)
    return Bucket(name, client, s3_server)


@pytest.fixture(scope="session")
def make_orthanc(tmp_path_factory) -> Iterator[Callable[..., OrthancServer]]:
    """Give a function that starts an Orthanc of its own: ``make_orthanc("source", options={…})``."""
    made: list[OrthancServer] = []

    def make(role: str, **arguments: Any) -> OrthancServer:
        made.append(start_orthanc(tmp_path_factory.mktemp(role), role, **arguments))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="session")
def _source_orthanc(make_orthanc) -> OrthancServer:
    return make_orthanc("source")


@pytest.fixture(scope="session")
def _research_orthanc(make_orthanc) -> OrthancServer:
    return make_orthanc("research")


def _empty(server: OrthancServer) -> OrthancServer:
    for patient in requests.get(f"{server.url}/patients", auth=server.auth, timeout=30).json():
        requests.delete(f"{server.url}/patients/{patient}", auth=server.auth, timeout=30).raise_for_status()
    requests.delete(f"{server.url}/changes", auth=server.auth, timeout=30).raise_for_status()
    return server


@pytest.fixture
def source_orthanc(_source_orthanc) -> OrthancServer:
    """Give the session's source Orthanc, emptied."""
    return _empty(_source_orthanc)


@pytest.fixture
def research_orthanc(_research_orthanc) -> OrthancServer:
    """Give the session's research Orthanc, emptied."""
    return _empty(_research_orthanc)


@pytest.fixture(scope="session")
def sample_files() -> list[Path]:
    """Give the files that the demo sends: one per SOP Instance UID, of many kinds."""
    return sample_paths()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Give Debian's Chromium, headless; it asks nobody but the pages that tests open."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("chromium is not installed: run make setup")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        chromium = playwright.chromium.launch(executable_path=program, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser) -> Iterator[Page]:
    """Give a new page of a browser that nobody is logged in with."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def root() -> Path:
    """Give the repository's root."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def python() -> str:
    """Give the interpreter that the tests run on, for processes of ours."""
    return sys.executable
