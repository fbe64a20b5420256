"""The pages of exports: whose job is whose, what is asked for, what is never shown."""

from __future__ import annotations

import re

import pytest

from common.orthanc import Orthanc
from tests.helpers.slices import make_slice
from website.index import Index, build_document

SECRET = "SecretThatNobodyMaySee1234"


@pytest.fixture
def site(make_portal, research_orthanc, s3):
    """Give a portal with three CT slices, whose exports may go to the S3 server."""
    portal = make_portal(
        RPACS_ORTHANC_HOSTNAME=research_orthanc.url,
        RPACS_ORTHANC_USERNAME=research_orthanc.username,
        RPACS_ORTHANC_PASSWORD=research_orthanc.password,
        RPACS_EXPORT_KEY="e" * 32,
        RPACS_EXPORT_ENDPOINTS=s3.server.url,
    )
    orthanc = Orthanc(research_orthanc.url, research_orthanc.username, research_orthanc.password)
    for number in range(3):
        data = make_slice(number)
        orthanc.upload(data)
        Index(portal.services.database).add([build_document(None, data)])
    return portal


def post(portal, client, path, data=None, **more):
    headers = {"X-CSRFToken": portal.csrf(client), "Sec-Fetch-Site": "same-origin"}
    return client.post(path, data=data, headers=headers, **more)


def form(s3, **changes):
    return {
        "query": "Modality StrEquals CT", "format": "dicom", "layout": "tree", "kind": "keys", "bucket": s3.name,
        "region": "us-east-1", "endpoint": s3.server.url, "prefix": "mine", "access_key": s3.server.access_key,
        "secret_key": s3.server.secret_key, **changes,
    }  # fmt: skip


def make(portal, user, s3, **changes):
    client = portal.client(user)
    answer = post(portal, client, "/exports", form(s3, **changes))
    assert answer.status_code == 303, re.findall(r'role="alert">([^<]*)', answer.text)
    return client, answer.headers["Location"]


def test_the_form_shows_count_size_and_first_keys(site):
    page = site.client("ct").get("/exports/new?q=Modality+StrEquals+CT&format=png&layout=flat").text
    assert re.search(r"<b>3</b><span>instances</span>", page)
    assert re.search(r"<b>[\d.]+ (Bytes|kB)</b><span>about, in all", page)
    assert len(re.findall(r"<li><code>[0-9a-f-]{44}\.png</code></li>", page)) == 3
    assert re.search(r"external ID <code[^>]*>research-pacs-[0-9a-f-]{36}", page)


def test_an_export_is_made_and_shown_to_its_user(site, s3):
    client, place = make(site, "ct", s3)
    assert "Modality is “CT”" in client.get(place).text
    job = client.get(place + ".json").json
    assert (job["state"], job["instances"], job["user"], job["filter"]) == ("queued", 3, "ct", "Modality StrEquals CT")
    assert [each["id"] for each in client.get("/exports.json").json["exports"]] == [job["id"]]
    assert job["id"] in client.get("/exports").text


def test_nobody_reads_or_stops_somebody_elses_export(site, s3):
    """Version 1.0 showed everybody's export jobs to everybody."""
    _, place = make(site, "ct", s3)
    identifier = place.rsplit("/", 1)[1]
    other = site.client("full")
    assert identifier not in other.get("/exports").text
    assert other.get("/exports.json?all=1").json["exports"] == []
    for path in (place, f"{place}.json", f"{place}/failures.csv"):
        assert other.get(path).status_code == 404
    for action in ("cancel", "pause", "resume", "rerun"):
        assert post(site, other, f"{place}/{action}").status_code == 404
    assert site.services.exports.exports.read(identifier).state == "queued"


def test_an_administrator_sees_all_and_may_cancel(site, s3):
    _, place = make(site, "ct", s3)
    identifier = place.rsplit("/", 1)[1]
    for name in ("admin", "auditor"):
        admin = site.client(name)
        assert identifier in admin.get("/exports/all").text
        assert "Modality is “CT”" in admin.get(f"/exports/all/{identifier}").text
    admin = site.client("admin")
    assert post(site, admin, f"{place}/resume").status_code == 404
    assert post(site, admin, f"{place}/cancel").status_code == 303
    assert site.services.exports.exports.read(identifier).state == "cancelled"


def test_pause_and_resume(site, s3):
    client, place = make(site, "ct", s3)
    assert post(site, client, f"{place}/pause").status_code == 303
    assert client.get(f"{place}.json").json["state"] == "paused"
    assert post(site, client, f"{place}/resume").status_code == 303
    assert client.get(f"{place}.json").json["state"] == "queued"
    assert post(site, client, f"{place}/cancel").status_code == 303
    assert post(site, client, f"{place}/cancel").status_code == 403


def test_secrets_are_neither_echoed_nor_kept_in_clear(site, s3, research_database, caplog):
    """In answers, tables, the access log, the audit trail and the log."""
    client = site.client("ct")
    refused = post(site, client, "/exports", form(s3, secret_key=SECRET, access_key="AKIAMARKER", session_token=SECRET))
    assert refused.status_code == 400
    assert "access to s3://" in refused.text
    assert SECRET not in refused.text
    assert "AKIAMARKER" not in refused.text
    _, place = make(site, "ct", s3)
    everything = [client.get(path).text for path in (place, f"{place}.json", "/exports", "/exports.json")]
    site.services.audit.append({"action": "flush"})
    with research_database.owner.transaction() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'research' AND table_type = 'BASE TABLE'"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM research."{table}" t')
            everything += [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT count(*) FROM research.export_secrets")
        assert cursor.fetchone() == (1,)
    everything += [site.log_file.read_text(), caplog.text]
    for secret in (SECRET, "AKIAMARKER", s3.server.access_key, s3.server.secret_key):
        leaks = [text[:200] for text in everything if secret in text or secret.encode().hex() in text]
        assert leaks == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query": "Modality StrEquals"}, "expected"),
        ({"query": "Modality StrEquals MR"}, "nothing that you may export"),
        ({"endpoint": "http://169.254.169.254"}, "not among those"),
        ({"bucket": "a/../b"}, "bucket must be"),
        ({"prefix": "../x"}, "prefix may hold"),
        ({"format": "tiff"}, "format must be one of"),
        ({"kind": "configured", "name": "trial"}, "choose one of the destinations"),
        ({"kind": "role", "role_arn": "x"}, "role_arn must be"),
        ({"secret_key": ""}, "access_key and secret_key are needed"),
        ({"notify": "me@evil.example"}, "notify must be"),
        ({"bucket": "there-is-no-such-bucket"}, "was tested, and failed: there is no such bucket"),
        ({"endpoint": "", "region": "x@evil.example/"}, "region must be"),
    ],
)
def test_what_is_wrong_is_said(site, s3, changes, message):
    answer = post(site, site.client("ct"), "/exports", form(s3, **changes))
    assert answer.status_code == 400
    assert message in answer.text


def test_by_the_api(site, s3):
    """JSON in and out, with an API token."""
    client = site.client("ct")
    made = post(site, client, "/tokens", {"label": "script", "actions": ["export"], "days": "1"})
    token = re.search(r'id="secret">([^<]+)', made.text)[1]
    program = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    answer = site.app.test_client().post("/exports", json=form(s3), headers=program)
    assert answer.status_code == 201
    again = site.app.test_client().get(answer.headers["Location"] + ".json", headers=program)
    assert again.json["state"] == "queued"
    stopped = site.app.test_client().post(answer.headers["Location"] + "/cancel", headers=program)
    assert stopped.json["state"] == "cancelled"
    wrong = site.app.test_client().post("/exports", json=form(s3, format="x"), headers=program)
    assert (wrong.status_code, "format must be" in wrong.json["message"]) == (403, True)
