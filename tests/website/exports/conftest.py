"""Exports on real servers: a store, a bucket, jobs that are run in the test's own process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from common.auth.identity import Identity
from common.orthanc import Orthanc
from common.settings import load
from common.tasks import TaskQueue
from website.exports.build import build_export_services, build_requests
from website.exports.export import Export
from website.exports.job import ExportJob, ExportServices
from website.exports.request import Requests
from website.index import Index, build_document
from website.settings import ExportWorkerSettings

PERMISSIONS = """
Profiles:
  All: {Description: everything, Destinations: [trial]}
  Ct: {DICOMQueryFilter: Modality StrEquals CT}
  Look: {Export: false}
Permissions:
  - {Users: rita, Profiles: All}
  - {Users: carl, Profiles: Ct}
  - {Users: vera, Profiles: Look}
"""


@dataclass
class Desk:
    """Asks for exports and runs them."""

    services: ExportServices
    requests: Requests
    queue: TaskQueue
    bucket: Any
    environ: dict[str, str]
    folder: Any
    index: Index
    ids: list[str] = field(default_factory=list)

    def store(self, *files: bytes) -> list[str]:
        """Store and index files; returns Orthanc's identifiers."""
        answers = [self.services.orthanc.upload(data) for data in files]
        self.index.add([build_document(None, data) for data in files])
        self.ids += [answer.id for answer in answers]
        return [answer.id for answer in answers]

    def keys(self) -> dict[str, str]:
        """Return what a user types."""
        server = self.bucket.server
        return {
            "kind": "keys", "endpoint": server.url, "bucket": self.bucket.name, "region": "us-east-1",
            "access_key": server.access_key, "secret_key": server.secret_key,
        }  # fmt: skip

    def login(self, user: str = "rita") -> None:
        """Note a login, which jobs need."""
        self.services.users.record_login(Identity(user, frozenset(), "local"))

    def access(self, user: str = "rita") -> Any:
        """Return what a user may do."""
        return self.services.permissions.value.access(user, ())

    def ask(self, user: str = "rita", **given: Any) -> str:
        """Ask for an export by keys; returns its identifier."""
        self.login(user)
        return self.requests.make(self.access(user), {"prefix": "out", **self.keys(), **given}, None)

    def admit(self) -> int:
        """Give jobs to the workers."""
        return self.services.exports.admit(self.queue, per_user=10, in_all=10)

    def run(self, identifier: str, stopping: Callable[[], bool] = lambda: False) -> Export:
        """Run a job as a worker does; returns how it stands then."""
        self.admit()
        job = ExportJob(self.services, self.read(identifier), 0, stopping, lambda: None)
        job.run()
        return self.read(identifier)

    def start(self, identifier: str) -> threading.Thread:
        """Run a job in a thread."""
        thread = threading.Thread(target=self.run, args=(identifier,), daemon=True)
        thread.start()
        return thread

    def read(self, identifier: str) -> Export:
        """Return a job."""
        return self.services.exports.read(identifier)

    def objects(self, prefix: str = "out/") -> dict[str, bytes]:
        """Return what is in the bucket below a prefix."""
        found = {}
        for page in self.bucket.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket.name, Prefix=prefix
        ):
            for each in page.get("Contents", []):
                body = self.bucket.client.get_object(Bucket=self.bucket.name, Key=each["Key"])["Body"].read()
                found[each["Key"].removeprefix(prefix)] = body
        return found

    def permit(self, text: str) -> None:
        """Put other permissions in force, at once."""
        (self.folder / "permissions.yaml").write_text(text)
        self.services.permissions._checked = float("-inf")

    def with_endpoint(self, url: str, **changes: Any) -> Desk:
        """Return a desk whose bucket is reached by another address, a proxy."""
        services = replace(self.services, endpoints=type(self.services.endpoints)([url]), **changes)
        bucket = replace(self.bucket, server=replace_url(self.bucket.server, url))
        return replace(
            self, services=services, requests=replace(self.requests, endpoints=services.endpoints), bucket=bucket
        )


@dataclass
class _Moved:
    url: str
    access_key: str
    secret_key: str


def replace_url(server: Any, url: str) -> _Moved:
    """Return what tests know of an S3 server, at another address."""
    return _Moved(url, server.access_key, server.secret_key)


@pytest.fixture
def make_desk(research_database, research_orthanc, s3, tmp_path) -> Iterator[Callable[..., Desk]]:
    """Give a function that makes a desk, with further environment variables."""
    made: list[Desk] = []

    def make(**variables: str) -> Desk:
        (tmp_path / "permissions.yaml").write_text(PERMISSIONS)
        (tmp_path / "destinations.yaml").write_text(
            f"Destinations:\n  trial: {{Bucket: {s3.name}, Prefix: trial, Endpoint: '{s3.server.url}'}}\n"
        )
        environ = {
            **research_database.environ("rpacs_website"),
            "RPACS_ORTHANC_HOSTNAME": research_orthanc.url,
            "RPACS_ORTHANC_USERNAME": research_orthanc.username,
            "RPACS_ORTHANC_PASSWORD": research_orthanc.password,
            "RPACS_PERMISSIONS_FILE": str(tmp_path / "permissions.yaml"),
            "RPACS_EXPORT_DESTINATIONS_FILE": str(tmp_path / "destinations.yaml"),
            "RPACS_EXPORT_ENDPOINTS": s3.server.url,
            "RPACS_EXPORT_KEY": "e" * 32,
            "RPACS_AUDIT_KEY": "a" * 32,
            **variables,
        }
        settings = load(ExportWorkerSettings, environ)
        database = research_database.login("rpacs_website")
        orthanc = Orthanc(research_orthanc.url, research_orthanc.username, research_orthanc.password)
        services = build_export_services(settings, database, orthanc)
        queue = TaskQueue(database, "research", lease_seconds=5)
        requests = build_requests(settings, database, orthanc, services.index)
        made.append(Desk(services, requests, queue, s3, environ, tmp_path, Index(database)))
        return made[-1]

    yield make
    for desk in made:
        desk.services.audit.close()
        desk.services.database.close()


@pytest.fixture
def desk(make_desk) -> Desk:
    """Give a desk."""
    return make_desk()
