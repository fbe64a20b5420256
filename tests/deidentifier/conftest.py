"""What tests of the ingest side share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from common.tasks import TaskQueue
from tests.helpers.pipeline import Pipeline, client


@pytest.fixture
def log_in_to_withdraw(ingest_database, research_orthanc, monkeypatch) -> Callable[[], None]:
    """Give a function that makes this process's environment that of who withdraws consent; the key is left out."""

    def log_in() -> None:
        environ = ingest_database.environ(ingest_database.server.superuser) | {
            "RPACS_DESTINATION_ORTHANC_HOSTNAME": research_orthanc.url,
            "RPACS_DESTINATION_ORTHANC_USERNAME": research_orthanc.username,
            "RPACS_DESTINATION_ORTHANC_PASSWORD": research_orthanc.password,
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)

    return log_in


@pytest.fixture
def queue(ingest_database):
    return TaskQueue(ingest_database.login("rpacs_deidentifier"), "ingest", lease_seconds=30)


@pytest.fixture
def pipeline(queue, source_orthanc, research_orthanc):
    return Pipeline(queue, client(source_orthanc), client(research_orthanc))
