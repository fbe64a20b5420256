"""The ingest side's console: who may in, what it shows, what it decides, and that all of it is audited."""

import dataclasses
import re
from io import BytesIO

import numpy as np
import pydicom
import pytest
import requests
from PIL import Image
from pydicom.data import get_testdata_file

from common.audit import verify
from common.auth.accounts import Accounts
from common.tasks import TaskQueue
from deidentifier.console.comparison import compare
from deidentifier.console.peers import Console
from deidentifier.ingest import Ingest
from deidentifier.pixels.boxes import Box
from deidentifier.pixels.finder import Finding
from deidentifier.withdrawal import Withdrawals
from tests.deidentifier.console.conftest import AUDIT_KEY, PASSWORD


def log_in(console, name):
    client = console.test_client()
    post(client, "/login", name=name, password=PASSWORD)
    return client


def post(client, path, **fields):
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login").text)[1]
    return client.post(path, data={"csrf_token": token, **fields})


PAGES = ["/", "/tasks", "/tasks.csv", "/tasks.json", "/activity.csv", "/activity.json?span=week"]


@pytest.mark.parametrize("path", [*PAGES, "/tasks/1", "/tasks/1/elements"])
def test_nothing_without_a_login(console, path):
    answer = console.test_client().get(path)
    assert answer.status_code == 302
    assert answer.location.startswith("/login?next=")


def test_a_wrong_password_is_refused(console):
    client = console.test_client()
    answer = post(client, "/login", name="alice", password="wrong wrong wrong")
    assert answer.status_code == 401
    assert client.get("/").status_code == 302


def test_a_form_without_token_is_refused(console):
    answer = console.test_client().post("/login", data={"name": "alice", "password": PASSWORD})
    assert answer.status_code == 400


@pytest.mark.parametrize("path", PAGES)
def test_pages_answer(console, quarantined, path):
    assert log_in(console, "victor").get(path).status_code == 200


def test_what_waits_is_shown_with_its_reason(console, quarantined):
    client = log_in(console, "victor")
    assert "burned-in text is suspected" in client.get(f"/tasks/{quarantined}").text
    assert f"/tasks/{quarantined}" in client.get("/tasks?state=quarantined").text
    assert f"/tasks/{quarantined}" not in client.get("/tasks?state=done").text
    [row] = client.get("/tasks.json?state=quarantined&code=Quarantine").json
    assert row["id"] == quarantined


def test_waiting_is_a_state_to_filter_by(console, quarantined):
    client = log_in(console, "victor")
    assert "Nothing waits" not in client.get("/tasks?state=waiting").text
    page = client.get("/tasks?state=waiting").text
    assert '<option value="waiting" selected>' in page
    assert f'href="/tasks/{quarantined}"' in page
    assert "state=waiting" in page.split("/tasks.csv?")[1].split('"')[0]
    assert [row["id"] for row in client.get("/tasks.json?state=waiting").json] == [quarantined]
    # Both states by name are the same filter, and the form keeps it.
    assert '<option value="waiting" selected>' in client.get("/tasks?state=quarantined&state=failed").text
    post(log_in(console, "alice"), f"/tasks/{quarantined}/discard")
    assert "Nothing waits for a decision" in client.get("/tasks?state=waiting").text


def test_a_state_that_does_not_exist_is_told(console, quarantined):
    page = log_in(console, "victor").get("/tasks?state=nix").text
    assert "There is no state nix" in page
    assert f'href="/tasks/{quarantined}"' in page


def test_the_overview_of_an_empty_platform_says_what_to_do(console):
    page = log_in(console, "victor").get("/").text
    assert "Nothing has arrived yet" in page
    assert "Instances finished: none" in page
    assert "a worker loads them with the first instance" in page


def test_refused_rules_are_told_on_the_overview(console, quarantined, database):
    with database.owner.transaction() as cursor:
        cursor.execute("INSERT INTO ingest.rules_in_force (sha256, statement) VALUES ('0123456789abcdef', 'All go.')")
    client = log_in(console, "victor")
    assert "Nothing has arrived yet" not in client.get("/").text
    assert "0123456789abcdef" in client.get("/").text
    assert "cannot go live" not in client.get("/").text
    with database.owner.transaction() as cursor:
        cursor.execute("UPDATE ingest.rules_in_force SET problem = 'Configuration'")
    assert "the rules before its last edit stay in force" in client.get("/").text


def test_rules_that_will_be_refused_are_told_before_anything_arrives(console, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("Labels: [\n")
    peers = console.extensions["console"]
    peers.settings = dataclasses.replace(peers.settings, rules=str(rules))
    page = log_in(console, "victor").get("/").text
    assert "cannot go live" in page
    assert f"{rules}:2:1: not YAML" in page


def test_an_earlier_result_that_was_withdrawn_is_shown(console, quarantined):
    queue: TaskQueue = console.extensions["console"].queue
    client = log_in(console, "victor")
    assert "Earlier result" not in client.get(f"/tasks/{quarantined}").text
    with queue.database.transaction() as cursor:
        cursor.execute("""UPDATE ingest.tasks SET result_withdrawn_at = '2026-01-02 03:04:05+00',
                          detail = '{"earlier_result": "left there"}'""")
    page = client.get(f"/tasks/{quarantined}").text
    assert "<dt>Earlier result withdrawn</dt><dd>2026-01-02 03:04 UTC" in page
    assert "<dt>Earlier result</dt><dd>left there" in page


def test_only_administrators_see_originals_and_decide(console, quarantined):
    viewer = log_in(console, "victor")
    assert viewer.get(f"/tasks/{quarantined}/elements").status_code == 403
    assert post(viewer, f"/tasks/{quarantined}/retry").status_code == 403
    assert post(viewer, f"/tasks/{quarantined}/discard").status_code == 403
    administrator = log_in(console, "alice")
    assert "CompressedSamples^CT1" in administrator.get(f"/tasks/{quarantined}/elements").text
    assert post(administrator, f"/tasks/{quarantined}/retry").status_code == 303
    assert administrator.get("/tasks.json?state=queued").json[0]["id"] == quarantined


def test_discarding(console, quarantined):
    client = log_in(console, "alice")
    assert post(client, f"/tasks/{quarantined}/discard").status_code == 303
    assert "The task is discarded" in client.get(f"/tasks/{quarantined}").text
    post(client, f"/tasks/{quarantined}/discard")
    assert "Nothing was changed: the task is discarded" in client.get(f"/tasks/{quarantined}").text
    assert client.get("/tasks.json?state=discarded").json[0]["id"] == quarantined


def test_an_unknown_task_is_not_found(console):
    assert log_in(console, "alice").get("/tasks/123456").status_code == 404


def test_a_decision_after_the_session_ended_leads_back_to_its_task(console, quarantined, database):
    client = log_in(console, "alice")
    with database.owner.transaction() as cursor:
        cursor.execute("DELETE FROM ingest.sessions")
    answer = post(client, f"/tasks/{quarantined}/retry")
    assert answer.location == f"/login?next=%2Ftasks%2F{quarantined}"
    assert "Your session had ended" in client.get(answer.location).text
    assert client.get("/").location == "/login?next=%2F"


def test_errors_say_what_to_do(console, quarantined, source_orthanc):
    client = log_in(console, "alice")
    old = client.post(f"/tasks/{quarantined}/retry", data={"csrf_token": "old"})
    assert old.status_code == 400
    assert "log in if you are asked to" in old.text
    assert f'href="/tasks/{quarantined}"' in old.text
    assert "mistyped" in client.get("/no-such-page").text
    original = client.get("/tasks.json?state=quarantined").json[0]["subject"]
    requests.delete(f"{source_orthanc.url}/instances/{original}", auth=source_orthanc.auth, timeout=10)
    gone = client.get(f"/tasks/{quarantined}/elements")
    assert gone.status_code == 404
    assert "Originals are deleted once a task is done" in gone.text
    assert "attachments" not in gone.text
    answers = [post(console.test_client(), "/login", name="nobody", password="wrong") for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert "reload this page" in answers[-1].text


def test_an_account_that_lost_its_group_has_to_log_in_again(console, tmp_path):
    client = log_in(console, "alice")
    Accounts(tmp_path / "accounts.yaml").set_groups("alice", ["viewers"])
    assert client.get("/").status_code == 401
    assert client.get("/").status_code == 302


def test_everything_is_audited(console, quarantined, database):
    client = log_in(console, "alice")
    client.get(f"/tasks/{quarantined}/elements")
    post(client, f"/tasks/{quarantined}/discard")
    console.extensions["gate"].audit.close()
    with database.owner.transaction() as cursor:
        cursor.execute("SELECT entry ->> 'user', entry ->> 'phase', action FROM ingest.audit ORDER BY seq")
        rows = cursor.fetchall()
    assert ("alice", "login", "login.log_in") in rows
    assert ("alice", "begin", "originals.show_elements") in rows
    assert ("alice", "decision", "originals.discard") in rows
    assert verify(database.owner, "ingest", AUDIT_KEY).problems == ()
    with database.owner.transaction() as cursor:
        cursor.execute("SELECT string_agg(entry::text, '') FROM ingest.audit")
        assert "CompressedSamples" not in cursor.fetchone()[0]


def test_pages_have_a_strict_policy(console):
    policy = console.test_client().get("/login").headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_comparison_lines_up_nested_elements():
    with open(get_testdata_file("CT_small.dcm"), "rb") as file:
        before = file.read()
    dataset = pydicom.dcmread(BytesIO(before))
    dataset.PatientName = "Another"
    del dataset.PatientID
    dataset.PatientComments = "new"
    stream = BytesIO()
    dataset.save_as(stream)
    changes = {row.path: row.change for row in compare(before, stream.getvalue())}
    assert (changes["00100010"], changes["00100020"], changes["00104000"]) == ("changed", "removed", "added")
    assert changes["00280010"] == "same"
    assert changes["00101002[0].00100020"] == "same"


def test_a_settled_task_offers_nothing_to_decide(console, quarantined):
    client = log_in(console, "alice")
    assert "Try again" in client.get(f"/tasks/{quarantined}").text
    post(client, f"/tasks/{quarantined}/discard")
    assert "Try again" not in client.get(f"/tasks/{quarantined}").text


def test_frames_and_a_preview_before_a_decision(console, quarantined):
    client = log_in(console, "alice")
    assert "Frame 1 of 1" in client.get(f"/tasks/{quarantined}/frames").text
    before = client.get(f"/tasks/{quarantined}/frames/before/1.png")
    assert (before.mimetype, before.data[:4]) == ("image/png", b"\x89PNG")
    assert client.get(f"/tasks/{quarantined}/frames/after/1.png").status_code == 404  # nothing was sent on
    after = client.get(f"/tasks/{quarantined}/frames/after/1.png?preview=yes")
    assert after.data == before.data  # the default rules leave a CT's pixels alone
    assert client.get(f"/tasks/{quarantined}/frames/before/2.png").status_code in (404, 422)
    elements = client.get(f"/tasks/{quarantined}/elements?preview=yes").text
    assert "Preview by the rules now in force" in elements
    assert re.search(r"0 added|[1-9]\d* removed", elements)
    assert "CompressedSamples^CT1" in elements


class Readable:
    """Reads the same text in one place whatever lies there: a stand-in for letters that no mask hides."""

    def find(self, picture, part=None, known=()):
        return [Finding(Box(10, 20, 60, 40), "COMPRESSED SAMPLES", 0.9)]


OCR = """
Labels: []
ScopeToForward: {Labels: ALL}
Transformations:
  - Scope: {Labels: ALL}
    RemoveBurnedInAnnotations: [{Type: OCR}]
"""


@pytest.mark.parametrize(
    ("rule", "side"), [("Type: OCR", "quarantined"), ("Type: Manual, BoxCoordinates: [[10, 20, 60, 40]]", "done")]
)
def test_the_preview_frames_what_was_found(console, quarantined, tmp_path, monkeypatch, rule, side):
    """Also where text stays readable, so that the instance is held back: its place, never the text."""
    (tmp_path / "rules.yaml").write_text(OCR.replace("Type: OCR", rule))
    settings = console.extensions["console"].settings
    object.__setattr__(settings, "rules", str(tmp_path / "rules.yaml"))
    monkeypatch.setattr("deidentifier.deidentify.engines", lambda region: lambda name: Readable())
    client = log_in(console, "alice")
    page = client.get(f"/tasks/{quarantined}/frames?preview=yes").text
    assert "framed: what the rules find in its pixels" in page
    assert ("text can still be read" in page) == (side == "quarantined")
    assert "COMPRESSED" not in page
    plain, boxed = (
        np.asarray(Image.open(BytesIO(client.get(f"/tasks/{quarantined}/frames/before/1.png{query}").data)))
        for query in ("", "?preview=yes")
    )
    assert boxed[19, 30].tolist() == boxed[30, 60].tolist() == [255, 64, 64]
    assert np.array_equal(boxed[21:39, 11:59, 0], plain[21:39, 11:59])


def test_a_viewer_sees_no_pixels_and_approves_nothing(console, quarantined):
    viewer = log_in(console, "victor")
    for path in ("frames", "frames/before/1.png", "elements?preview=yes"):
        assert viewer.get(f"/tasks/{quarantined}/{path}").status_code == 403
    assert post(viewer, f"/tasks/{quarantined}/approve").status_code == 403


def test_approving_what_a_finding_holds_back(console, quarantined, database):
    client = log_in(console, "alice")
    assert "Approve" not in client.get(f"/tasks/{quarantined}").text
    post(client, f"/tasks/{quarantined}/approve")  # nothing was found: there is nothing to approve
    assert client.get("/tasks.json?state=queued").json == []
    queue: TaskQueue = console.extensions["console"].queue
    with queue.database.transaction() as cursor:
        found = '{"findings": [{"path": "(0008,103E)", "rule": "rule 3", "class": "name"}]}'
        cursor.execute("UPDATE ingest.tasks SET detail = %s WHERE id = %s", (found, quarantined))
    page = client.get(f"/tasks/{quarantined}").text
    assert "(0008,103E)" in page
    assert "Approve" in page
    assert post(client, f"/tasks/{quarantined}/approve").status_code == 303
    [task] = queue.claim("deidentify", "worker", 1)
    assert task.approved
    assert task.id == quarantined
    console.extensions["gate"].audit.close()
    with database.owner.transaction() as cursor:
        cursor.execute(
            "SELECT entry ->> 'user', entry -> 'findings' FROM ingest.audit WHERE entry ->> 'decision' = 'approve'"
        )
        assert cursor.fetchall() == [("alice", 0), ("alice", 1)]


def test_the_preview_is_what_a_worker_would_send(console, database, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("zyxwvut")
    given = console.extensions["console"].settings
    keys = {"pseudonym_key": "p" * 32, "withdrawal_key": "w" * 32}
    settings = dataclasses.replace(given, **keys, vocabulary_file=str(words), max_inflated_bytes=1 << 20)
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.StudyDescription = "Zyxwvut abdomen"
    dataset.save_as(written := BytesIO())
    original = written.getvalue()
    peers = Console.from_settings(settings, "console")

    previewed = peers.previews.make(original)
    assert pydicom.dcmread(BytesIO(previewed.data)).StudyDescription == "Zyxwvut abdomen"
    with database.owner.transaction() as cursor:  # all derived from the key
        cursor.execute("SELECT count(*), count(key_id) FROM ingest.mappings")
        everything, derived = cursor.fetchone()
    assert everything == derived > 0
    assert Ingest.from_settings(settings, "work").rules().current()(original).data == previewed.data

    Withdrawals(database.owner, "w" * 32).block(str(dataset.PatientID))
    withdrawn = Console.from_settings(settings, "console").previews.make(original)
    assert (withdrawn.state, withdrawn.data) == ("discarded", None)
