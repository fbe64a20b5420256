"""libcurl against a real server: bodies, errors that name no address, connections that are used again."""

import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from common.http_client import HttpClient, HttpError, TooLargeError


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, str, bytes]]
    release: threading.Event

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.headers["Authorization"], str(self.client_address[1]), body))
        if self.path in ("/half", "/less", "/more", "/chunks"):
            self.answer_in_part()
            return
        if self.path == "/hang":
            self.release.wait(30)
        if self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"short")
            self.close_connection = True
            return
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(body or b"hello")))
        self.end_headers()
        self.wfile.write(body or b"hello")

    def answer_in_part(self):
        """Stop in the middle of an answer, or declare another length than it has."""
        self.close_connection = True
        self.send_response(200)
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nhello\r\n")
            return
        declared = {"/half": 10_000_000, "/less": 3, "/more": 8}[self.path]
        self.send_header("Content-Length", str(declared))
        self.end_headers()
        self.wfile.write(b"x" * 1_000_000 if self.path == "/half" else b"hello")
        self.wfile.flush()
        if self.path == "/half":
            self.release.wait(30)

    do_GET = do_POST = do_DELETE = do_PUT = answer

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server():
    handler = type("Recording", (Handler,), {"seen": [], "release": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    handler.release.set()
    server.shutdown()
    server.server_close()


def client(server, read=20.0):
    return HttpClient(f"http://127.0.0.1:{server.server_port}", "user", "pass", timeout=(5, read), connections=2)


def test_methods_bodies_and_one_connection(server):
    http = client(server)
    large = bytes(range(256)) * 20_000
    assert http.request("GET", "/").data == b"hello"
    assert http.request("POST", "/", body=large).data == large
    assert http.request("PUT", "/", body=b"x").data == b"x"
    assert http.request("DELETE", "/").data == b"hello"
    assert http.request("GET", "/missing").status == 404
    seen = server.RequestHandlerClass.seen
    assert [method for method, *_ in seen] == ["GET", "POST", "PUT", "DELETE", "GET"]
    assert {authorization for _, authorization, _, _ in seen} == {"Basic dXNlcjpwYXNz"}
    assert len({port for _, _, port, _ in seen}) == 1
    assert seen[3][3] == b""


def test_an_empty_body_is_sent_as_one(server):
    assert client(server).request("POST", "/", body=b"").data == b"hello"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/hang", "timed out"),
        ("/half", "timed out"),
        ("/cut", "cut short"),
        ("/more", "cut short"),
        ("/chunks", "connection lost|cut short"),
    ],
)
def test_an_answer_that_does_not_end_is_an_error_without_address(server, path, message):
    with pytest.raises(HttpError, match=message) as caught:
        client(server, read=1).request("GET", path)
    assert "127.0.0.1" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_rest_of_an_answer_that_is_longer_than_declared_is_not_taken_for_another(server):
    http = client(server)
    assert http.request("GET", "/less").data == b"hel"
    with suppress(HttpError):  # its connection is spoilt, and left
        assert http.request("GET", "/").data == b"hello"
    assert http.request("GET", "/").data == b"hello"


def test_a_server_that_takes_half_of_a_body_and_hangs():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        held = []
        threading.Thread(target=lambda: held.append(listening.accept()), daemon=True).start()
        http = HttpClient(f"http://127.0.0.1:{listening.getsockname()[1]}", "u", "p", timeout=(5, 1), connections=1)
        with pytest.raises(HttpError, match="timed out"):
            http.request("POST", "/instances", body=bytes(100_000_000))
        for connection, _ in held:
            connection.close()


def test_nobody_listens(server):
    http = client(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(HttpError, match="no connection"):
        http.request("GET", "/")


def test_threads_share_a_client(server):
    http, answers = client(server), []
    bodies = [str(number).encode() * 1000 for number in range(8)]
    threads = [
        threading.Thread(target=lambda body=body: answers.append(http.request("POST", "/", body=body).data == body))
        for body in bodies
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 8


def test_an_answer_that_is_too_large_is_not_taken(server):
    http = client(server)
    assert http.request("GET", "/", largest=5).data == b"hello"
    with pytest.raises(TooLargeError):
        http.request("GET", "/", largest=4)
    assert http.request("GET", "/").data == b"hello"
