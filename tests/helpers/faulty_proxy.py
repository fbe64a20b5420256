"""A proxy in front of Orthanc, or of an S3 server, that fails, hangs or delays when the test says so."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

STORAGE_FULL = json.dumps({"Status": "StorageFull", "ID": "", "Path": ""}).encode()

Fault = Callable[[str, str], "tuple[int, bytes] | None"]
"""Given method and path: an answer in Orthanc's stead, or None to ask Orthanc; it may also wait."""


class FaultyProxy:
    """Forwards to a server; ``fault`` decides about each request first, ``after`` sees what was answered.

    ``signed``: requests are signed with the name of the host they were sent to, as those to S3 are. ``change`` may
    damage their bodies.
    """

    def __init__(self, url: str, *, signed: bool = False) -> None:
        self.fault: Fault = lambda method, path: None
        self.after: Callable[[str, str, int], None] = lambda method, path, status: None
        self.change: Callable[[str, str, bytes], bytes] = lambda method, path, body: body
        self.delay = 0.0
        target = urlsplit(url)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                self.upstream = HTTPConnection(str(target.hostname), target.port, timeout=30)

            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if proxy.delay:
                    time.sleep(proxy.delay)
                given = proxy.fault(self.command, self.path)
                self.tag = ""
                status, answer = given or self.ask(proxy.change(self.command, self.path, body))
                proxy.after(self.command, self.path, status)
                self.send_response(status)
                if self.tag:
                    self.send_header("ETag", self.tag)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def ask(self, body: bytes) -> tuple[int, bytes]:
                headers = {key: value for key, value in self.headers.items() if signed or key.lower() != "host"}
                self.upstream.request(self.command, self.path, body, headers)
                response = self.upstream.getresponse()
                self.tag = response.headers.get("ETag", "")
                return response.status, response.read()

            do_GET = do_POST = do_DELETE = do_PUT = forward

            def finish(self) -> None:
                self.upstream.close()
                super().finish()

            def log_message(self, format: str, *args: object) -> None:
                """Tests do not need it."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that gave up is what tests want."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def faulty_proxy(url: str, *, signed: bool = False) -> Iterator[FaultyProxy]:
    """Run a proxy for the length of a block."""
    proxy = FaultyProxy(url, signed=signed)
    try:
        yield proxy
    finally:
        proxy.close()
