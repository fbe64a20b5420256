"""Who runs next, and which exports held what."""

from __future__ import annotations

import io
import json
import sys

import pydicom
import pytest

from tests.helpers.slices import make_slice
from website.__main__ import main
from website.commands.exports import read_uids


def states(desk, ids):
    return [desk.read(each).state for each in ids]


def test_users_take_turns_under_the_limits(desk):
    desk.store(make_slice(1))
    rita = [desk.ask("rita", prefix=f"r{number}") for number in range(4)]
    carl = [desk.ask("carl", prefix=f"c{number}") for number in range(2)]
    exports = desk.services.exports
    assert exports.admit(desk.queue, per_user=2, in_all=3) == 3
    assert states(desk, rita) == ["running", "running", "queued", "queued"]
    assert states(desk, carl) == ["running", "queued"]
    assert exports.admit(desk.queue, per_user=2, in_all=3) == 0
    desk.services.exports.begin(rita[0])
    exports.end(rita[0], "done")
    # Both have one running less than they may; carl has fewer.
    assert exports.admit(desk.queue, per_user=2, in_all=3) == 1
    assert sorted(states(desk, carl) + states(desk, rita[1:])) == ["queued", "queued", "running", "running", "running"]


def test_a_job_whose_workers_died_too_often_says_so(desk, research_database):
    desk.store(make_slice(1))
    identifier = desk.ask()
    desk.admit()
    with research_database.owner.transaction() as cursor:
        cursor.execute("UPDATE research.tasks SET state = 'failed', finished_at = now() WHERE kind = 'export'")
    desk.admit()
    failed = desk.read(identifier)
    assert (failed.state, failed.reason) == ("failed", "Its workers died too often.")
    desk.services.exports.resume(identifier, None)
    assert desk.read(identifier).state == "queued"


def test_exports_that_held_an_instance_are_found(desk, capsys, monkeypatch, tmp_path):
    data = [make_slice(number) for number in range(3)]
    desk.store(*data)
    uids = [str(pydicom.dcmread(io.BytesIO(each)).SOPInstanceUID) for each in data]
    identifier = desk.ask(layout="flat")
    desk.run(identifier)
    desk.ask(prefix="never-started")
    for name, value in desk.environ.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "uids").write_text(f"# withdrawn\n{uids[1]}\n\n1.2.3\n")
    assert main(["exports", "--holding", str(tmp_path / "uids"), "--json"]) == 0
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (row["export"], row["user"], row["sop_instance_uid"], row["sent"]) == (identifier, "rita", uids[1], True)
    assert row["keys"] == [f"{desk.ids[1]}.dcm"]
    assert main(["exports"]) == 0
    assert identifier in capsys.readouterr().out
    (tmp_path / "wrong").write_text("1.2.3\nDoe^Jane\n")
    assert main(["exports", "--holding", str(tmp_path / "wrong")]) == 2
    errors = capsys.readouterr().err
    assert "wrong:2: expected a SOP Instance UID" in errors
    assert "Doe" not in errors


def test_uids_from_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("1.2\n1.2\n1.3\n"))
    assert read_uids("-") == ["1.2", "1.3"]


def test_the_command_asks_and_says_where(desk, capsys, monkeypatch):
    desk.store(make_slice(1))
    desk.login()
    for name, value in desk.environ.items():
        monkeypatch.setenv(name, value)
    command = ["export", "", "--user", "rita", "--destination", "trial", "--prefix", "cli", "--no-wait"]
    assert main(command) == 0
    identifier = capsys.readouterr().out.strip()
    done = desk.run(identifier)
    assert (done.state, done.destination.prefix) == ("done", "trial/rita/cli/")


@pytest.mark.parametrize("given", ["", "[]", "{", '{"access_key": "x"}'])
def test_the_command_takes_keys_from_standard_input_alone(desk, capsys, monkeypatch, given):
    desk.store(make_slice(1))
    desk.login()
    for name, value in desk.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdin", io.StringIO(given))
    server = desk.bucket.server
    assert main(["export", "", "--user", "rita", "--bucket", "b12", "--endpoint", server.url, "--keys"]) == 1
    assert "access_key" in capsys.readouterr().err
