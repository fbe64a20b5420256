"""What the portal's requests leave behind: rows before data, a row at the end, the access log."""

from __future__ import annotations

import csv
import io
import json
import subprocess

import pytest

from common.web import safe_cell


def _log(portal):
    return [json.loads(line) for line in portal.log_file.read_text().splitlines()]


def test_an_access_leaves_two_rows_and_a_line(portal):
    portal.client("full").get("/tokens?x=%3Cscript%3E", headers={"X-Forwarded-For": "6.6.6.6"})
    begin, end = portal.rows()
    assert (begin["phase"], end["phase"]) == ("begin", "end")
    assert begin["request"] == end["request"]
    assert begin["user"] == "full"
    assert begin["groups"] == ["full"]
    assert begin["profiles"] == ["Full"]
    assert begin["address"] == "127.0.0.1"  # no proxy is trusted: the header is anybody's
    assert begin["arguments"] == "x=%3Cscript%3E"
    assert (end["status"], end["action"]) == (200, "tokens.show_tokens")
    assert end["bytes"] > 0
    assert end["milliseconds"] >= 0
    (line,) = _log(portal)
    assert line["request"] == begin["request"]


def test_the_address_comes_from_as_many_proxies_as_are_trusted(make_portal):
    portal = make_portal(RPACS_TRUSTED_PROXIES="1")
    portal.client("full").get("/tokens", headers={"X-Forwarded-For": "6.6.6.6, 10.0.0.7"})
    assert portal.rows()[0]["address"] == "10.0.0.7"


def test_no_audit_row_no_data(portal):
    """The table refuses rows: the request fails before its view runs."""
    client = portal.client("full")
    with portal.database.owner.transaction() as cursor:
        cursor.execute("REVOKE INSERT ON research.audit FROM rpacs_website")
    answer = client.get("/tokens")
    assert answer.status_code == 500
    assert "A script sends a token" not in answer.text


def test_the_first_row_is_committed_before_the_view_runs(portal, monkeypatch):
    seen = []

    def read(*_):
        with portal.database.owner.transaction() as cursor:
            cursor.execute("SELECT entry ->> 'phase' FROM research.audit")
            seen.extend(row[0] for row in cursor.fetchall())
        return []

    client = portal.client("full")
    monkeypatch.setattr(portal.services.tokens, "list", read)
    client.get("/tokens")
    assert seen == ["begin"]


def test_refusals_are_in_the_trail(portal):
    portal.client("ct").get("/users")
    assert [(row["user"], row["status"]) for row in portal.rows()] == [("ct", 403)]


@pytest.mark.parametrize(
    ("path", "excluded"),
    [
        ("/healthcheck", True),
        ("/orthanc/app/explorer.html", True),
        ("/orthanc/app/x.js", True),
        ("/favicon.ico", True),
        ("/ORTHANC/APP/x", True),
        ("/orthanc/instances/1", False),
        ("/orthanc/app/../instances/1/file", False),
        ("/orthanc/app/%2e%2e/instances", True),  # a literal, double-encoded name under /app/: not the parent folder
        ("/healthcheck/../orthanc/instances", False),
        ("/search", False),
        ("/", False),
    ],
)
def test_exclusions_hold_for_the_normalised_path(portal, path, excluded):
    assert portal.services.access_log.is_excluded(path) is excluded


def test_exclusions_hold_for_the_file_alone(portal):
    client = portal.client("admin")
    client.get("/orthanc/app/explorer.html")
    client.get("/orthanc/app/../instances")
    assert [line["path"] for line in _log(portal)] == ["/orthanc/app/../instances"]
    assert len(portal.rows()) == 4


def test_administrators_filter_and_export(portal):
    portal.client("full").get("/tokens?q==cmd|x")
    portal.client("ct").get("/sessions")
    portal.rows()
    admin = portal.client("admin")
    page = admin.get("/audit?user=ct").text
    assert "sessions.show_sessions" in page
    assert "tokens.show_tokens" not in page
    rows = list(csv.DictReader(io.StringIO(admin.get("/audit.csv?user=full").text)))
    assert {row["user"] for row in rows} == {"full"}
    assert {row["arguments"] for row in rows} == {"q==cmd|x"}
    lines = [json.loads(line) for line in admin.get("/audit.jsonl?action=tokens.show_tokens").text.splitlines()]
    assert {line["path"] for line in lines} == {"/tokens"}
    assert admin.get("/audit?since=yesterday").status_code == 400
    assert admin.get("/audit?before=x").status_code == 400
    assert admin.get("/audit?user=%27%3B--").status_code == 200
    assert portal.client("ct").get("/audit").status_code == 403


def test_the_trail_is_paged(portal):
    for number in range(105):
        portal.services.audit.append_later({"action": "x", "user": f"u{number:03}", "path": "/"})
    portal.services.audit.append({"action": "y", "path": "/"})
    admin = portal.client("admin")
    first = admin.get("/audit?action=x").text
    assert "u104" in first
    assert "u004" not in first
    following = first.split('rel="next" href="?')[-1].split('"')[0].replace("&amp;", "&")
    assert "u004" in admin.get("/audit?" + following).text


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\t=1", "'\t=1"),
        ("a=b", "a=b"),
        (None, ""),
        (7, "7"),
    ],
)
def test_csv_cells_are_no_formulas(value, cell):
    assert safe_cell(value) == cell


def test_the_command_verifies(portal, python, root):
    portal.client("full").get("/tokens")
    portal.rows()
    head = str(portal.services.audit.head())

    def run(*arguments):
        command = [python, "-m", "website", "audit", "verify", *arguments]
        return subprocess.run(command, cwd=root, env=portal.environ, capture_output=True, text=True, check=False)

    whole = run("--head", head)
    assert (whole.returncode, whole.stdout.strip()) == (0, f"3 rows, head {head}: whole")
    with portal.database.owner.transaction() as cursor:
        cursor.execute("DELETE FROM research.audit WHERE seq = 3")
    cut = run("--head", head)
    assert cut.returncode == 1
    assert "row 3 is missing" in cut.stdout
    assert run("--head", "x").returncode == 2


def test_a_purpose_of_use_is_asked_for_and_recorded(make_portal):
    portal = make_portal(RPACS_PURPOSE_OF_USE="yes")
    client = portal.client("full")
    assert client.get("/tokens").location == "/purpose?next=%2Ftokens"
    token = {"X-CSRFToken": portal.csrf(client)}
    assert client.post("/purpose", data={"purpose": "x", "next": "/tokens"}, headers=token).status_code == 400
    answer = client.post("/purpose", data={"purpose": " EK  2024-17 ", "next": "/tokens"}, headers=token)
    assert answer.location == "/tokens"
    assert client.get("/tokens").status_code == 200
    assert portal.rows()[-1]["purpose"] == "EK 2024-17"
