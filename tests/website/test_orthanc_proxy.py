"""Orthanc behind the portal: path rules, headers, methods, against a real Orthanc."""

from __future__ import annotations

import io
import threading
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
import requests

from tests.helpers.instances import make_instance, store
from website.orthanc_proxy import answer_headers, rewrite_location
from website.path_patterns import normalise_path, parse_pattern

SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def instance(research_orthanc):
    return store(research_orthanc, make_instance())["ID"]


@pytest.fixture
def orthanc_portal(make_portal, research_orthanc, instance):
    return make_portal(
        RPACS_ORTHANC_HOSTNAME=research_orthanc.url,
        RPACS_ORTHANC_USERNAME=research_orthanc.username,
        RPACS_ORTHANC_PASSWORD=research_orthanc.password,
    )


def _exists(orthanc, instance):
    return requests.get(f"{orthanc.url}/instances/{instance}", auth=orthanc.auth, timeout=10).ok


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/instances/{id}", 200),
        ("/INSTANCES/{id}", 404),  # a profile lets it pass, ignoring case; Orthanc itself knows no such path
        ("/instances/{id}/simplified-tags", 200),
        ("/instances/{id}/file", 404),
        ("/instances/{id}/FILE", 404),
        ("/instances/{id}/%66ile", 404),
        ("/instances/{id}//file", 404),
        ("//instances/{id}/file", 404),
        ("/instances/{id}%2ffile", 404),
        ("/instances/{id}/tags/../file", 404),
        ("/instances/{id}/tags/%2e%2e/file", 404),
        ("/instances/{id}/tags/%2E%2e%2ffile", 404),
        ("/instances/{id}/./file", 404),
        ("/instances/{id}/file/", 404),
        ("/instances/{id}/file%00", 404),
        ("/instances/{id}%5cfile", 404),
        ("/instances/{id}/attachments/dicom/data", 404),
        ("/instances/../system", 200),
        ("/instances/%2e%2e/patients", 404),
        ("/../../system", 200),
        ("/patients", 404),
        ("/instances/{id}/tags", 200),
    ],
)
def test_spellings_of_a_path_do_not_get_past_a_rule(orthanc_portal, instance, path, status):
    answer = orthanc_portal.client("denied").get("/orthanc" + path.format(id=instance))
    assert answer.status_code == status
    assert b"DICM" not in answer.data


def test_a_deny_holds_within_its_profile_only(make_portal, research_orthanc, instance, tmp_path):
    """One profile allows and denies; another allows: the request passes by the other."""
    portal = make_portal(
        RPACS_ORTHANC_HOSTNAME=research_orthanc.url,
        RPACS_ORTHANC_USERNAME=research_orthanc.username,
        RPACS_ORTHANC_PASSWORD=research_orthanc.password,
    )
    assert portal.client("denied").get(f"/orthanc/instances/{instance}/file").status_code == 404
    assert portal.client("denied").get(f"/orthanc/instances/{instance}/metadata").status_code == 200
    file = tmp_path / "permissions.yaml"
    file.write_text(file.read_text().replace("GET /instances/*/tags", "GET /instances/*/file"))
    portal.services.permissions._interval = 0
    assert portal.client("denied").get(f"/orthanc/instances/{instance}/file").data[128:132] == b"DICM"


@pytest.mark.parametrize("user", ["denied", "admin"])
@pytest.mark.parametrize(
    "arguments", ["_method=DELETE", "_METHOD=DELETE", "%5fmethod=DELETE", "a=b&_method=PUT", "+_method=DELETE"]
)
def test_no_method_override_by_argument(orthanc_portal, research_orthanc, instance, user, arguments):
    answer = orthanc_portal.client(user).get(f"/orthanc/instances/{instance}?{arguments}")
    assert answer.status_code == 403
    assert _exists(research_orthanc, instance)


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Http-Method-Override", "x-http-method-override"])
def test_no_method_override_by_header(orthanc_portal, research_orthanc, instance, name):
    answer = orthanc_portal.client("admin").get(f"/orthanc/instances/{instance}", headers={name: "DELETE"})
    assert answer.status_code == 200
    assert _exists(research_orthanc, instance)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://localhost"}, 200),
        (SAME, 200),
    ],
)
def test_unsafe_methods_need_our_own_origin(orthanc_portal, research_orthanc, instance, headers, status):
    answer = orthanc_portal.client("admin").delete(f"/orthanc/instances/{instance}", headers=headers)
    assert answer.status_code == status
    assert _exists(research_orthanc, instance) == (status == 403)


def test_a_denied_method_is_denied(orthanc_portal, research_orthanc, instance):
    answer = orthanc_portal.client("denied").delete(f"/orthanc/instances/{instance}", headers=SAME)
    assert answer.status_code == 404
    assert _exists(research_orthanc, instance)


@pytest.mark.parametrize("user", ["nobody", "ct", "full", "auditor"])
def test_without_path_patterns_there_is_no_orthanc(orthanc_portal, instance, user):
    assert orthanc_portal.client(user).get(f"/orthanc/instances/{instance}").status_code == 403


def test_uploads_and_answers_are_handed_on(orthanc_portal, research_orthanc):
    client = orthanc_portal.client("admin")
    answer = client.post("/orthanc/instances", data=make_instance(Modality="MR"), headers=SAME)
    assert answer.json["Status"] == "Success"
    assert _exists(research_orthanc, answer.json["ID"])
    found = client.post("/orthanc/tools/find", json={"Level": "Series", "Query": {"Modality": "MR"}}, headers=SAME)
    assert len(found.json) == 1


def test_what_users_stored_is_not_shown_by_the_browser(orthanc_portal, research_orthanc, instance):
    """An HTML file in an attachment would otherwise run with the rights of whoever opens it."""
    requests.put(
        f"{research_orthanc.url}/instances/{instance}/attachments/1024",
        data=b"<script>alert(1)</script>",
        auth=research_orthanc.auth,
        timeout=10,
    ).raise_for_status()
    for path in ("attachments/1024/data", "file", "attachments/dicom/data"):
        answer = orthanc_portal.client("admin").get(f"/orthanc/instances/{instance}/{path}")
        assert answer.status_code == 200
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_pixel_data_is_shown_in_place(orthanc_portal, instance):
    answer = orthanc_portal.client("admin").get(f"/orthanc/instances/{instance}/preview")
    assert answer.mimetype == "image/png"
    assert "Content-Disposition" not in answer.headers


def test_the_explorer_works_under_its_own_policy(orthanc_portal):
    client = orthanc_portal.client("admin")
    answer = client.get("/orthanc/")
    assert answer.status_code in (301, 302, 307)
    assert answer.location == "app/explorer.html"
    page = client.get("/orthanc/app/explorer.html")
    assert page.status_code == 200
    assert "script-src 'self' 'unsafe-inline'" in page.headers["Content-Security-Policy"]
    assert "Content-Disposition" not in page.headers
    assert client.get("/login").headers["Content-Security-Policy"] != page.headers["Content-Security-Policy"]


def test_every_request_is_audited_as_it_was_forwarded(orthanc_portal, instance):
    orthanc_portal.client("denied").get(f"/orthanc/instances/{instance}/tags/../file?x=1")
    rows = [row for row in orthanc_portal.rows() if row["action"] == "orthanc.forward"]
    assert [row["phase"] for row in rows] == ["begin", "end"]
    assert rows[1]["forwarded"] == f"GET /instances/{instance}/file"
    assert (rows[1]["status"], rows[0]["user"], rows[0]["arguments"]) == (404, "denied", "x=1")


def test_secrets_stay_on_their_sides(orthanc_portal, monkeypatch):
    """Neither the user's cookie reaches Orthanc, nor Orthanc's own headers the user."""
    sent = {}

    class Answer:
        status = 200
        headers = {"Set-Cookie": "a=b", "Server": "x", "WWW-Authenticate": "Basic", "Content-Type": "text/plain"}  # noqa: RUF012

        def stream(self, *_: object, **__: object):
            return iter([b"x"])

        def release_conn(self) -> None:
            pass

        close = release_conn

    def urlopen(method, target, **arguments):
        sent.update(arguments["headers"])
        return Answer()

    monkeypatch.setattr(orthanc_portal.services.orthanc_proxy._pool, "urlopen", urlopen)
    headers = {
        "X-Forwarded-For": "1.2.3.4",
        "Forwarded": "host=evil",
        "X-Forwarded-Host": "evil",
        "X-HTTP-Method-Override": "PUT",
        "Accept": "application/json",
    }
    answer = orthanc_portal.client("admin").get("/orthanc/system", headers=headers)
    assert {name.lower() for name in sent} <= {"accept", "authorization", "user-agent"}
    assert not {"Set-Cookie", "Server", "WWW-Authenticate"} & set(dict(answer.headers))


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_raw_requests_over_a_socket(orthanc_portal, instance):
    """What clients and test clients normalise away reaches a server as it is typed."""
    import http.client

    cookie = orthanc_portal.client("denied").get_cookie("research-pacs").value
    server = make_server("127.0.0.1", 0, orthanc_portal.app, WSGIServer, _Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        for path, status in (
            (f"/orthanc/instances/{instance}/tags", 200),
            (f"/orthanc/instances/{instance}/tags/../file", 404),
            (f"/orthanc/instances/{instance}/tags/%2e%2e/file", 404),
            (f"/orthanc/instances/{instance}//file", 404),
            (f"/orthanc//instances/{instance}/file", 404),
            (f"/orthanc/instances/{instance}/%2566ile", 404),
            (f"/orthanc/instances/{instance}%252ffile", 404),
            ("/orthanc/../purpose", 404),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
            connection.request("GET", path, headers={"Cookie": f"research-pacs={cookie}"})
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            assert (path, answer.status) == (path, status)
            assert b"DICM" not in body
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_body_over_the_limit_is_refused(make_portal, research_orthanc):
    portal = make_portal(RPACS_ORTHANC_HOSTNAME=research_orthanc.url, RPACS_MAX_REQUEST_MB="1")
    body = io.BytesIO(bytes(2**20 + 1))
    answer = portal.client("admin").post(
        "/orthanc/instances", input_stream=body, content_length=2**20 + 1, headers=SAME
    )
    assert answer.status_code == 413


def test_a_body_of_unknown_length_is_refused(orthanc_portal):
    answer = orthanc_portal.client("admin").post(
        "/orthanc/tools/find", input_stream=io.BytesIO(b"{}"), headers={**SAME, "Transfer-Encoding": "chunked"}
    )
    assert answer.status_code == 411


def test_orthanc_away_is_said(portal):
    assert portal.client("admin").get("/orthanc/system").status_code == 503


@pytest.mark.parametrize(
    ("path", "normalised"),
    [
        ("", "/"), ("/", "/"), ("a//b", "/a/b"), ("/a/./b/", "/a/b"), ("/a/../../b", "/b"), ("..", "/"),
        ("/a/b/..", "/a"), ("/a/...", "/a/..."), ("/a/%2e", "/a/%2e"),
    ],
)  # fmt: skip
def test_paths_are_normalised(path, normalised):
    assert normalise_path(path) == normalised


@pytest.mark.parametrize("path", ["/a\0", "/a\\b", "/a\n", "/\ufffd", "/\x7f"])
def test_strange_paths_are_refused(path):
    with pytest.raises(ValueError, match="character"):
        normalise_path(path)


@pytest.mark.parametrize(
    ("pattern", "method", "path", "passes"),
    [
        ("GET /studies/*", "GET", "/studies/1", True),
        ("GET /studies/*", "GET", "/studies/1/2", False),
        ("GET /studies/**", "GET", "/studies/1/2", True),
        ("GET /studies/*", "GET", "/Studies/1", True),
        ("GET /studies/*", "HEAD", "/studies/1", True),
        ("GET /studies/*", "POST", "/studies/1", False),
        ("any **", "DELETE", "/x/y", True),
        ("GET /a.b", "GET", "/axb", False),
        ("GET /studies/", "GET", "/studies", True),
        ("PUT /a", "PUT", "/a\n", False),
    ],
)
def test_patterns(pattern, method, path, passes):
    assert parse_pattern(pattern).matches(method, path) is passes


@pytest.mark.parametrize("pattern", ["/studies", "GETT /x", "GET", "GET studies", "", "GET,POST /x"])
def test_bad_patterns(pattern):
    with pytest.raises(ValueError, match="expected"):
        parse_pattern(pattern)


@pytest.mark.parametrize(
    ("location", "rewritten"),
    [
        ("app/explorer.html", "app/explorer.html"),
        ("/instances/1", "/orthanc/instances/1"),
        ("http://orthanc:8042/instances/1?a=b", "/orthanc/instances/1?a=b"),
        ("https://evil.example/x", "/orthanc/"),
        ("//evil.example/x", "/orthanc/"),
    ],
)
def test_locations_stay_here(location, rewritten):
    assert rewrite_location(location, "http://orthanc:8042", "/orthanc") == rewritten


def test_a_file_name_of_orthanc_is_kept_and_cleaned():
    headers = {"Content-Type": "application/zip", "Content-Disposition": 'filename="a b.zip"; x="\r\n"'}
    answered = dict(answer_headers("/studies/1/archive", headers, orthanc_url="http://o", mount="/orthanc"))
    assert answered["Content-Disposition"] == 'attachment; filename="a b.zip"'
