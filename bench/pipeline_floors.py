"""What the pipeline is measured against: what Orthanc takes for the same slices, with scripts that do nothing else.

* The *bare floor*: one Orthanc takes the slices in by C-STORE, hands each out and takes it in again by REST.
* The *guarded floor*: two Orthancs, and beside these transfers what is promised of every original, whatever is done to
  it: the MD5 of what was received and of what is sent, both compared with what the Orthancs keep, the original deleted,
  the result read once by whoever indexes it. No rules, no queue, no database, no index: no pipeline that keeps the
  promises can be faster.

Beside them, for comparison, the bare transfers by a *plain script*, as somebody writes it in an hour: ``requests``, one
session for each of four threads, ``/instances/{id}/file``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import local

import requests

from common.orthanc import Orthanc
from demo.servers.orthanc import OrthancServer, start_orthanc

ASSOCIATIONS = 4
BARE, GUARDED, SCRIPT = "bare floor", "guarded floor", "plain script"


def send(server: OrthancServer, files: Sequence[Path], associations: int = ASSOCIATIONS) -> None:
    """Send by C-STORE on several associations; raises where one fails."""
    program = shutil.which("storescu") or "storescu"
    command = [program, "-aec", server.aet, "127.0.0.1", str(server.dicom_port)]
    environ = {**os.environ, "TCP_NODELAY": "1"}
    parts = [files[at::associations] for at in range(associations)]
    senders = [subprocess.Popen([*command, *map(str, part)], env=environ) for part in parts if part]
    codes = [sender.wait() for sender in senders]
    if any(codes):
        raise RuntimeError("storescu failed")


def measure_bare(folder: Path, files: Sequence[Path]) -> dict[str, float]:
    """Return slices per second: of C-STORE, of REST, of both."""
    with _started(folder, "research") as (server,):
        client = _client(server)

        def copy(instance: str) -> None:
            client.upload(client.download(instance))

        return _rates(BARE, server, files, copy)


def measure_guarded(folder: Path, files: Sequence[Path]) -> dict[str, float]:
    """Return slices per second: of C-STORE, of REST with what is promised, of both."""
    with _started(folder, "source", "research") as (source, research):
        here, there = _client(source), _client(research)

        def deliver(instance: str) -> None:
            data = here.download(instance)
            received = _md5(data)
            stored = there.upload(data).id
            if there.instance_md5(stored) != _md5(data) or here.instance_md5(instance) != received:
                raise RuntimeError("the floor damaged an instance")
            here.delete_instance(instance)
            there.download(stored)

        return _rates(GUARDED, source, files, deliver)


def measure_script(folder: Path, files: Sequence[Path]) -> dict[str, float]:
    """Return slices per second of the bare transfers by ``requests``, as :func:`measure_bare` does."""
    with _started(folder, "research") as (server,):
        kept = local()

        def copy(instance: str) -> None:
            if not hasattr(kept, "session"):
                kept.session = requests.Session()
                kept.session.auth = (server.username, server.password)
            answer = kept.session.get(f"{server.url}/instances/{instance}/file", timeout=60)
            answer.raise_for_status()
            kept.session.post(f"{server.url}/instances", data=answer.content, timeout=60).raise_for_status()

        return _rates(SCRIPT, server, files, copy)


def join(*floors: dict[str, float]) -> dict[str, float]:
    """Return the rates of several runs together: of the sum of their times."""
    return {name: statistics.harmonic_mean([floor[name] for floor in floors]) for name in floors[0]}


def _rates(name: str, server: OrthancServer, files: Sequence[Path], work: Callable[[str], None]) -> dict[str, float]:
    started = time.perf_counter()
    send(server, files)
    stored = time.perf_counter()
    instances = _client(server).instances(0, len(files) + 1)
    if len(instances) != len(files):
        raise RuntimeError("the floor lost instances")
    with ThreadPoolExecutor(ASSOCIATIONS) as pool:
        list(pool.map(work, instances))
    ended = time.perf_counter()
    count = len(files)
    return {
        f"{name}: C-STORE": count / (stored - started),
        f"{name}: REST": count / (ended - stored),
        name: count / (ended - started),
    }


@contextmanager
def _started(folder: Path, *roles: str) -> Iterator[list[OrthancServer]]:
    with ExitStack() as stack:
        servers = []
        for role in roles:
            server = start_orthanc(folder / role, role)
            stack.callback(server.stop)
            servers.append(server)
        yield servers


def _client(server: OrthancServer) -> Orthanc:
    return Orthanc(server.url, server.username, server.password)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
