"""An export reaches the hosts it is meant for, and no other: addresses, names, redirects, ports."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest

from common.errors import RefusedError
from website.exports.bucket import Bucket, BucketRefusedError
from website.exports.destinations import Destination
from website.exports.endpoints import Endpoints, Guard, check_region, normalise

LISTED = Endpoints(["https://minio.hospital.example", "http://127.0.0.1:9000"])


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://169.254.169.254", "http://127.0.0.1", "http://127.0.0.1:9001", "https://127.0.0.1:9000",
        "http://2130706433:9000", "http://0x7f.1:9000", "http://127.1:9000", "http://[::1]:9000",
        "http://[::ffff:127.0.0.1]:9000", "http://localhost:9000", "https://minio.hospital.example:8443",
        "http://minio.hospital.example", "https://minio.hospital.example.evil.example",
        "https://minio.hospital.example@evil.example", "https://evil.example#minio.hospital.example",
        "https://minio.hospital.example/path", "https://minio.hospital.example?x", "ftp://minio.hospital.example",
        "https://minio.hospital.example\\@evil.example", "https://minio.hospital.example:99999", "file:///etc/passwd",
        "//minio.hospital.example", "x",
    ],
)  # fmt: skip
def test_an_endpoint_that_is_not_listed_is_refused(endpoint):
    with pytest.raises(RefusedError):
        LISTED.check(endpoint)


def test_a_listed_endpoint_passes_however_it_is_written():
    for text in (
        "https://minio.hospital.example",
        "HTTPS://MINIO.hospital.example:443/",
        "https://minio.hospital.example.",
    ):
        assert LISTED.check(text) == "https://minio.hospital.example:443"
    assert LISTED.check("") == ""


@pytest.mark.parametrize("region", ["", "x", "eu-central-1.evil.example", "eu-central-1/", "eu-central-1@x", "EU-1"])
def test_a_region_is_a_region(region):
    with pytest.raises(RefusedError):
        check_region(region)


ADDRESSES = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254", "169.254.1.1", "169.254.170.2", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "ff02::1", "fd00:ec2::254", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "::127.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:1::",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("endpoint", ["https://minio.hospital.example:443", ""])
def test_a_name_that_resolves_to_an_inner_address_is_not_connected_to(monkeypatch, address, endpoint):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    answers = [(socket.AF_INET, 1, 6, "", ("203.0.113.7", 443)), (family, 1, 6, "", (address, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    host = "minio.hospital.example" if endpoint else "bucket.s3.eu-central-1.amazonaws.com"
    with pytest.raises(RefusedError):
        Guard(endpoint).resolve(host, 443)


def test_a_private_address_of_a_listed_name_is_a_hospital_s_own(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", ("10.1.2.3", 443))])
    assert Guard("https://minio.hospital.example:443").resolve("minio.hospital.example", 443) == "10.1.2.3"


@pytest.mark.parametrize(
    ("endpoint", "host", "port"),
    [
        ("", "s3.eu-central-1.amazonaws.com.evil.example", 443), ("", "s3.amazonaws.com", 80), ("", "127.0.0.1", 443),
        ("https://minio.hospital.example:443", "other.example", 443),
        ("https://minio.hospital.example:443", "minio.hospital.example", 22),
        ("http://169.254.169.254:80", "169.254.169.254", 80),
    ],
)  # fmt: skip
def test_another_host_or_port_is_not_connected_to(endpoint, host, port):
    with pytest.raises(RefusedError):
        Guard(endpoint).resolve(host, port)


def test_what_is_looked_at_is_what_is_connected_to(s3, monkeypatch):
    """A name that means another address each time it is asked (DNS rebinding) is asked once per connection."""
    asked = []
    real = socket.getaddrinfo

    def rebinding(host, *rest, **more):
        if host == "rebinding.example":
            asked.append(host)
            address = "10.255.255.1" if len(asked) == 1 else "127.0.0.1"
            return [(socket.AF_INET, 1, 6, "", (address, 443))]
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    tried = []

    def create(address, *_, **__):
        tried.append(address)
        raise TimeoutError

    monkeypatch.setattr("urllib3.util.connection.create_connection", create)
    bucket = Bucket(Destination("keys", "b", endpoint="https://rebinding.example:443"), _session())
    with pytest.raises(Exception, match="S3 does not answer"):
        bucket.put("x", b"x")
    assert tried == [("10.255.255.1", 443)]


def _session():
    return boto3.Session(aws_access_key_id="a", aws_secret_access_key="b")


@pytest.fixture
def servers():
    """Give a server that redirects to a second one, and what the second one was asked."""
    asked = []

    class Target(BaseHTTPRequestHandler):
        def do_PUT(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_GET = do_HEAD = do_DELETE = do_PUT

        def log_message(self, *_):
            pass

    class Redirector(Target):
        status = 307

        def do_PUT(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(self.status)
            self.send_header("Location", f"http://127.0.0.1:{target.server_address[1]}/stolen")
            self.send_header("x-amz-bucket-region", "eu-west-9")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_DELETE = do_PUT

    class Server(ThreadingHTTPServer):
        daemon_threads = False  # closing waits for the connections

    target, first = (Server(("127.0.0.1", 0), each) for each in (Target, Redirector))
    for server in (target, first):
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{first.server_address[1]}", Redirector, asked
    for server in (target, first):
        server.shutdown()
        server.server_close()


# The connection of an answer that botocore refuses is left to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(servers, status):
    url, redirector, asked = servers
    redirector.status = status
    bucket = Bucket(Destination("keys", "b", endpoint=normalise(url), region="us-east-1"), _session())
    with pytest.raises(Exception, match="S3"):
        bucket.put("x", b"x")
    bucket.close()
    assert asked == []


def test_a_proxy_of_the_environment_is_not_asked(servers, s3, monkeypatch):
    url, _, asked = servers
    monkeypatch.setenv("HTTP_PROXY", url)
    destination = Destination("configured", s3.name, endpoint=normalise(s3.server.url))
    Bucket(destination, boto3.Session()).put("x", b"x")
    assert asked == []


def test_a_role_of_amazon_is_asked_for_at_amazon_alone(monkeypatch):
    from website.exports.credentials import RoleSource

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", ("127.0.0.1", 443))])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    role = Destination("role", "b", region="eu-central-1", role_arn="arn:aws:iam::123456789012:role/x")
    with pytest.raises(RefusedError, match="not to be reached"):
        RoleSource().session(role, "id")


def test_a_bucket_that_does_not_exist_is_a_refusal(s3):
    destination = Destination("configured", "there-is-none", endpoint=normalise(s3.server.url))
    with pytest.raises(BucketRefusedError, match="no such bucket"):
        Bucket(destination, boto3.Session()).put("x", b"x")
