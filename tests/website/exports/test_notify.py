"""Messages about the end of a job: to a web server and a mail server that run, and to some that do not answer."""

from __future__ import annotations

import email
import json
import socketserver
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from common.errors import RefusedError
from demo.servers.process import free_port, wait_until
from tests.helpers.slices import make_slice
from website.exports.notify import Notifier


class Hook(BaseHTTPRequestHandler):
    """Takes documents; sends whoever asks it to elsewhere."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, json.loads(body)))
        self.send_response(302 if self.path == "/moved" else 204)
        if self.path == "/moved":
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, format, *args):
        pass


class Mail(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as a client needs that has one message."""

    def handle(self):
        self.wfile.write(b"220 test\r\n")
        for line in self.rfile:
            command = line.strip().upper()
            if command.startswith(b"RCPT TO:"):
                self.server.recipients.append(line.decode().strip().partition(":")[2])
            answers = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}
            self.wfile.write(answers.get(command, b"250 ok\r\n"))
            if command == b"DATA":
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.received.append(email.message_from_bytes(b"".join(lines)))
                self.wfile.write(b"250 taken\r\n")
            if command == b"QUIT":
                return


@contextmanager
def serving(server):
    server.received, server.recipients, server.daemon_threads = [], [], True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def hook():
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Hook)) as server:
        yield server


@pytest.fixture
def mail():
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail)) as server:
        yield server


def notifier(hook=None, mail=None, **more):
    given = {
        "domains": ("hospital.example",),
        "sender": "pacs@hospital.example",
        "portal_url": "https://portal.example",
    }
    if hook is not None:
        given["webhook"] = f"http://127.0.0.1:{hook.server_port}{more.pop('path', '/hook')}"
    if mail is not None:
        given |= {"smtp_host": "127.0.0.1", "smtp_port": mail.server_address[1]}
    return Notifier(**{**given, **more})


def with_notifier(desk, told):
    return replace(desk, services=replace(desk.services, notifier=told), requests=replace(desk.requests, notifier=told))


def test_the_end_is_told_to_both(desk, hook, mail, caplog):
    there = with_notifier(desk, notifier(hook, mail))
    there.store(make_slice(1, patient="SECRET^NAME"))
    identifier = there.ask(notify="Rita@Hospital.Example", query="PatientID StrEquals SECRET^NAME")
    assert there.run(identifier).state == "done"
    ((path, document),) = hook.received
    address = f"https://portal.example/exports/{identifier}"
    assert path == "/hook"
    assert document == {
        "export": identifier, "user": "rita", "state": "done", "url": address, "instances": 1, "sent": 1, "failed": 0,
        "objects": 1, "bytes": there.read(identifier).bytes,
    }  # fmt: skip
    wait_until(lambda: mail.received, "the message", seconds=30)
    (message,) = mail.received
    assert mail.recipients == ["<Rita@Hospital.Example>"]
    assert message["Subject"] == "Your export is complete"
    assert "1 of 1 instances were sent" in message.get_payload()
    assert address in message.get_payload()
    assert "nobody could be told" not in caplog.text
    assert "SECRET" not in message.as_string() + json.dumps(document)


def test_a_job_that_waits_for_its_user_says_so(desk, hook):
    there = with_notifier(desk, notifier(hook))
    there.store(make_slice(1))
    identifier = there.ask()
    there.permit("Profiles:\n  All: {}\nPermissions: [{Users: carl, Profiles: All}]\n")
    assert there.run(identifier).state == "failed"
    assert [document["state"] for _, document in hook.received] == ["failed"]


def test_who_cannot_be_told_costs_nobody_the_job(desk, hook, caplog):
    told = notifier(smtp_host="127.0.0.1", smtp_port=free_port(), webhook=f"http://127.0.0.1:{free_port()}/")
    there = with_notifier(desk, told)
    there.store(make_slice(1))
    assert there.run(there.ask(notify="rita@hospital.example")).state == "done"
    assert caplog.text.count("nobody could be told of an export") == 2
    assert "rita@" not in caplog.text
    # Where the webhook sends us is not where the administrator wanted it to go.
    moved = with_notifier(desk, notifier(hook, path="/moved"))
    assert moved.run(moved.ask(prefix="second")).state == "done"
    assert [path for path, _ in hook.received] == ["/moved"]


def test_a_password_does_not_travel_without_tls(desk, mail, caplog):
    there = with_notifier(desk, notifier(mail=mail, smtp_user="pacs", smtp_password="hush"))
    there.store(make_slice(1))
    assert there.run(there.ask(notify="rita@hospital.example")).state == "done"
    assert mail.received == []
    assert "nobody could be told" in caplog.text


@pytest.mark.parametrize("address", ["rita@evil.example", "rita@hospital.example.evil.example", "a b@hospital.example",
                                     "x@hospital.example\r\nBcc: y@evil.example", "@hospital.example"])  # fmt: skip
def test_messages_go_to_the_administrator_s_domains_alone(mail, address):
    with pytest.raises(RefusedError, match=r"an e-mail address of hospital\.example"):
        notifier(mail=mail).check_address(address)
