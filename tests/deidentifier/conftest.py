"""What tests of the ingest side share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from common.tasks import TaskQueue
from demo.servers.process import Server
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


@pytest.fixture
def run(ingest_database, source_orthanc, research_orthanc, tmp_path, python):
    """Give a function that starts a command as a process."""
    started = []

    def start(*command, **environ):
        given = {
            **ingest_database.environ("rpacs_deidentifier"),
            "RPACS_SOURCE_ORTHANC_HOSTNAME": source_orthanc.url,
            "RPACS_SOURCE_ORTHANC_USERNAME": source_orthanc.username,
            "RPACS_SOURCE_ORTHANC_PASSWORD": source_orthanc.password,
            "RPACS_DESTINATION_ORTHANC_HOSTNAME": research_orthanc.url,
            "RPACS_DESTINATION_ORTHANC_USERNAME": research_orthanc.username,
            "RPACS_DESTINATION_ORTHANC_PASSWORD": research_orthanc.password,
            **environ,
        }
        log = tmp_path / f"{len(started)}.log"
        process = Server(command[0], [python, "-m", "deidentifier", *command], log=log, environ=given)
        started.append(process)
        process.start(lambda: True)
        return process

    yield start
    for process in started:
        process.stop()
