"""Workers that are killed at random moments: the bucket ends with exactly what it should, sent once.

The short form runs with all tests; ``CHAOS=full`` is 2,000 instances and 20 kills.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
from pathlib import Path

import pytest

from demo.servers.process import Server, wait_until
from tests.helpers.faulty_proxy import faulty_proxy
from tests.helpers.slices import make_slice
from tests.website.exports.test_job import verify

FULL = os.environ.get("CHAOS") == "full"
INSTANCES, KILLS = (2000, 20) if FULL else (150, 4)
SECONDS = (0.3, 4.0) if FULL else (0.2, 0.8)


@pytest.fixture
def start_worker(desk, tmp_path):
    """Give a function that starts a worker as a process, with another address of the S3 server."""
    started = []

    def start(endpoint):
        environ = {
            **os.environ, **desk.environ, "RPACS_EXPORT_ENDPOINTS": endpoint, "RPACS_TASK_LEASE_SECONDS": "5",
            "RPACS_EXPORT_CONNECTIONS": "4", "RPACS_LOG_LEVEL": "DEBUG",
        }  # fmt: skip
        command = [sys.executable, "-m", "website", "work", "--only", "export"]
        server = Server("export", command, log=tmp_path / f"worker-{len(started)}.log", environ=environ)
        started.append(server)
        server.start(lambda: True)
        return server

    yield start
    for server in started:
        server.stop()


def recorded(database, identifier):
    """Return the keys that are written down as sent."""
    with database.owner.transaction() as cursor:
        cursor.execute("SELECT key FROM research.export_objects WHERE export = %s", (identifier,))
        return {key for (key,) in cursor.fetchall()}


def release_leases(database):
    """End the leases of dead workers now, rather than wait for it."""
    with database.owner.transaction() as cursor:
        cursor.execute("UPDATE research.tasks SET lease_until = now() - interval '1 s' WHERE state = 'running'")


def tell_no_secrets(folder, keys):
    """Look for what the user typed in the logs of all workers and in the list of processes."""
    texts = [file.read_text() for file in folder.glob("worker-*.log")]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            texts.append(process.read_bytes().decode(errors="replace"))
    assert len(texts) > KILLS
    for name in ("access_key", "secret_key"):
        assert not [text for text in texts if keys[name] in text]


@pytest.mark.timeout(1800 if FULL else 300)
def test_kills_lose_nothing_and_send_nothing_twice(desk, s3, research_database, start_worker, tmp_path):
    desk.store(*(make_slice(number, series=number // 50, rows=64) for number in range(INSTANCES)))
    rng, lock, put = random.Random(8), threading.Lock(), []

    def note(method, path, status):
        if method == "PUT" and path.endswith(".dcm") and status == 200:
            with lock:
                put.append(path.split("/out/", 1)[1])

    with faulty_proxy(s3.server.url, signed=True) as proxy:
        proxy.after, proxy.delay = note, 0.03
        there = desk.with_endpoint(proxy.url)
        identifier = there.ask()
        seen = []
        for _ in range(KILLS):
            worker, before = start_worker(proxy.url), len(put)
            wait_until(lambda before=before: len(put) > before, "the first object after a start", seconds=90)
            threading.Event().wait(rng.uniform(*SECONDS))
            worker.stop(kill=True)
            with lock:
                seen.append((len(put), recorded(research_database, identifier)))
            release_leases(research_database)
            if desk.read(identifier).state == "done":
                break
        start_worker(proxy.url)
        wait_until(lambda: desk.read(identifier).state == "done", "the end", seconds=600)
        tell_no_secrets(tmp_path, desk.keys())
        for position, written in seen:
            assert written & set(put[position:]) == set()
    done = desk.read(identifier)
    assert (done.sent, done.failed, done.objects) == (INSTANCES, 0, INSTANCES)
    _, rows = verify(desk.objects())
    assert len(rows) == INSTANCES == len(set(put))
    assert len(seen) >= 2
