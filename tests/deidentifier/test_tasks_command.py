"""``python -m deidentifier tasks``."""

import json

import pytest

from common.tasks import Asked, Result, TaskQueue
from deidentifier.__main__ import main


@pytest.fixture
def queue(ingest_database, monkeypatch):
    for name, value in ingest_database.environ("rpacs_deidentifier").items():
        monkeypatch.setenv(name, value)
    queue = TaskQueue(ingest_database.login("rpacs_deidentifier"), "ingest")
    with queue.database.transaction() as cursor:
        queue.enqueue(cursor, "deidentify", [Asked(name, 1, n) for n, name in enumerate("abcd")])
    failed, quarantined = queue.claim("deidentify", "me", 2)
    queue.exchange(
        [
            Result(failed, "failed", error_code="InvalidDicom", error="not DICOM"),
            Result(quarantined, "quarantined", error_code="Quarantine", error="a leak"),
        ],
        "deidentify",
        "me",
        0,
    )
    return queue


def listed(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def states(queue):
    return [row["state"] for row in queue.list_tasks()]


@pytest.mark.parametrize(
    ("filters", "subjects"),
    [
        ([], "abcd"),
        (["--state", "failed"], "a"),
        (["--state", "failed", "--state", "quarantined"], "ab"),
        (["--error", "Quarantine"], "b"),
        (["--instance", "c"], "c"),
        (["--older-than", "1h"], ""),
        (["--kind", "submit"], ""),
        (["--limit", "3"], "abc"),
    ],
)
def test_filters(queue, capsys, filters, subjects):
    assert main(["tasks", "list", "--json", *filters]) == 0
    assert "".join(row["subject"] for row in listed(capsys)) == subjects


def test_a_table_for_people(queue, capsys):
    assert main(["tasks", "list"]) == 0
    assert "InvalidDicom" in capsys.readouterr().out


def test_show(queue, capsys):
    (row,) = queue.list_tasks(states=["failed"])
    assert main(["tasks", "show", str(row["id"])]) == 0
    assert "not DICOM" in capsys.readouterr().out
    assert main(["tasks", "show", "999999"]) == 1


def test_retry_by_filter_and_discard_by_id(queue, capsys):
    assert main(["tasks", "retry", "--error", "InvalidDicom"]) == 0
    assert states(queue) == ["queued", "quarantined", "queued", "queued"]
    (row,) = queue.list_tasks(states=["quarantined"])
    assert main(["tasks", "discard", str(row["id"])]) == 0
    assert states(queue) == ["queued", "discarded", "queued", "queued"]
    assert main(["tasks", "discard", str(row["id"])]) == 1


@pytest.mark.parametrize("action", ["retry", "discard"])
def test_nothing_is_changed_unless_it_is_said_which(queue, action, capsys):
    assert main(["tasks", action]) == 2
    assert states(queue) == ["failed", "quarantined", "queued", "queued"]
