"""Roles: assumed with an external ID of user and project, narrowed to bucket and prefix, renewed when they expire."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import boto3
import pytest
from moto.server import ThreadedMotoServer

from common.errors import RefusedError
from tests.helpers.slices import make_slice
from tests.website.exports.test_job import verify
from website.exports.credentials import RoleSource, session_policy
from website.exports.destinations import Destination

ROLE = "arn:aws:iam::123456789012:role/research-export"


def test_the_policy_names_bucket_and_prefix_and_allows_no_reading():
    destination = Destination("role", "b", "a/b/", "eu-central-1", role_arn=ROLE, kms_key="alias/research")
    statements = json.loads(session_policy(destination))["Statement"]
    assert {statement["Effect"] for statement in statements} == {"Allow"}
    assert statements[0]["Resource"] == "arn:aws:s3:::b/a/b/*"
    actions = {action for statement in statements for action in statement["Action"]}
    assert not {action for action in actions if action.startswith(("s3:Get", "s3:List", "s3:*"))}


def test_the_external_id_is_of_user_and_project_and_stays(desk):
    exports = desk.services.exports
    ids = {exports.external_id(user, project) for user in ("rita", "carl") for project in ("EK 1", "EK 2", None)}
    assert len(ids) == 6
    assert exports.external_id("rita", "EK 1") in ids


@pytest.fixture
def sts():
    """Give moto's STS, with a front that keeps what it is asked for."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    asked = []

    class Front(BaseHTTPRequestHandler):
        def do_POST(self):
            import urllib3

            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append({name: values[0] for name, values in parse_qs(body.decode()).items()})
            headers = dict(self.headers.items())
            answer = urllib3.request("POST", f"http://{host}:{port}/", body=body, headers=headers, retries=False)
            self.send_response(answer.status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(answer.data)))
            self.end_headers()
            self.wfile.write(answer.data)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False

    front = Server(("127.0.0.1", 0), Front)
    threading.Thread(target=front.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{front.server_address[1]}", asked
    front.shutdown()
    front.server_close()
    server.stop()


def test_a_role_is_assumed_for_the_place_alone(desk, s3, sts, monkeypatch):
    """moto's STS makes the credentials; a server for S3 that knows them is not there, so the bucket's are put in."""
    url, asked = sts
    roles = RoleSource(url)
    seen = []
    real = RoleSource.session

    def session(self, destination, external_id):
        made = real(self, destination, external_id)
        seen.append(made.get_credentials().get_frozen_credentials())
        return boto3.Session()  # the S3 server's own, from the environment

    monkeypatch.setattr(RoleSource, "session", session)
    there = replace(desk, services=replace(desk.services, roles=roles), requests=replace(desk.requests, roles=roles))
    desk.store(make_slice(1))
    identifier = there.ask(kind="role", role_arn=ROLE, prefix="by-role")
    done = there.run(identifier)
    assert done.state == "done"
    verify(there.objects("by-role/"))
    assert [call["Action"] for call in asked] == ["AssumeRole", "AssumeRole"]  # to try it out, and to run
    for call in asked:
        assert call["RoleArn"] == ROLE
        assert call["ExternalId"] == desk.services.exports.external_id("rita", None)
        assert json.loads(call["Policy"])["Statement"][0]["Resource"] == f"arn:aws:s3:::{s3.name}/by-role/*"
    assert all(credentials.token for credentials in seen)


def test_credentials_of_a_role_are_renewed_before_they_expire(sts, monkeypatch):
    url, asked = sts
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    destination = Destination("role", "b", region="us-east-1", role_arn=ROLE)
    credentials = RoleSource(url).session(destination, "id").get_credentials()
    first = credentials.get_frozen_credentials()
    credentials._expiry_time = credentials._time_fetcher()  # as an hour later
    second = credentials.get_frozen_credentials()
    assert first.access_key != second.access_key
    assert len(asked) == 2


def test_an_sts_that_refuses_is_said_so(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")

    class Front(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False

    server = Server(("127.0.0.1", 0), Front)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    source = RoleSource(f"http://127.0.0.1:{server.server_address[1]}")
    with pytest.raises(RefusedError, match=r"the role cannot be assumed: STS refuses the request \(AccessDenied"):
        source.session(Destination("role", "b", region="us-east-1", role_arn=ROLE), "id")
    server.shutdown()
    server.server_close()
