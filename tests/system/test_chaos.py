"""Everything may die at any moment, and every instance comes to its one end.

``make chaos`` runs the full form: 3,000 instances, 60 series. The short form runs with all tests.
"""

from __future__ import annotations

import gc
import io
import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import pydicom
import pytest

from demo.servers.pipeline import PipelineServers
from demo.servers.process import wait_until
from tests.helpers.senders import Senders
from tests.helpers.slices import make_slice
from website.index.index import Index

PROCESSES = {
    "work 1": ("deidentifier", "work", "--no-follow"),
    "work 2": ("deidentifier", "work", "--no-follow"),
    "follow": ("deidentifier", "follow"),
    "research follow": ("website", "work", "--only", "follow,reconcile"),
    "research index": ("website", "work", "--only", "index"),
}
ENVIRON = {"RPACS_TASK_LEASE_SECONDS": "10", "RPACS_RECONCILE_SECONDS": "5"}


@dataclass(frozen=True)
class Form:
    """How much chaos; ``seconds`` is the patience with each of sending and ending, ``preserve`` keeps originals."""

    instances: int
    series: int
    kill_every: float
    postgresql_restarts: int
    orthanc_restarts: int
    seconds: float
    preserve: bool = False


FULL = Form(3000, 60, 1.0, 3, 2, 900)
SHORT = Form(240, 12, 2.0, 1, 1, 180)
FORMS = [FULL, replace(SHORT, preserve=True)] if os.environ.get("CHAOS") == "full" else [SHORT]


class Chaos(threading.Thread):
    """Kills a random process of ours every so often, and restarts the servers some times while instances arrive."""

    def __init__(self, servers: PipelineServers, form: Form, progress: Callable[[], float]) -> None:
        super().__init__(daemon=True)
        self.servers, self.form, self.progress = servers, form, progress
        self.chance = random.Random(4)
        self.done = threading.Event()
        self.kills = 0
        self.restarts = [servers.postgresql] * form.postgresql_restarts
        self.restarts += [servers.source, servers.research] * form.orthanc_restarts
        self.chance.shuffle(self.restarts)
        self.problem: BaseException | None = None

    def run(self) -> None:
        planned = len(self.restarts)
        try:
            while not self.done.wait(self.form.kill_every):
                self.kill()
                if self.restarts and self.progress() > 1 - len(self.restarts) / (planned + 1):
                    server = self.restarts.pop()
                    server.stop()
                    server.restart()
        except BaseException as exc:
            self.problem = exc

    def kill(self) -> None:
        name = self.chance.choice(sorted(PROCESSES))
        self.servers.processes[name].stop(kill=True)
        self.servers.start(name, *PROCESSES[name])
        self.kills += 1


@pytest.fixture(params=FORMS, ids=lambda form: f"{form.instances}{' preserved' if form.preserve else ''}")
def form(request) -> Form:
    return request.param


@pytest.fixture
def servers(tmp_path, form):
    environ = {**ENVIRON, "RPACS_PRESERVE_ORIGINAL_FILES": "yes" if form.preserve else "no"}
    servers = PipelineServers(tmp_path, environ, durable=False)
    yield servers
    servers.stop()


# pynetdicom leaves the sockets of refused connections to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(2400)
def test_every_instance_comes_to_its_one_end(servers, form):
    originals = [
        make_slice(number, series=number % form.series, patient=f"P{number % form.series % 7}")
        for number in range(form.instances)
    ]
    for name, command in PROCESSES.items():
        servers.start(name, *command)
    source = servers.source
    senders = Senders(lambda: ("127.0.0.1", source.dicom_port, source.aet), originals, 4)
    chaos = Chaos(servers, form, lambda: senders.sent / form.instances)
    senders.start()
    chaos.start()
    try:
        wait_until(lambda: senders.is_done() and not chaos.restarts, "sending", seconds=form.seconds, every=0.2)
    finally:
        chaos.done.set()
        chaos.join(60)
    gc.collect()  # here, where what it warns about is ignored
    assert chaos.problem is None
    print(f"{chaos.kills} processes were killed")
    _await_the_end(servers, form)
    _check(servers, originals)


def _await_the_end(servers: PipelineServers, form: Form) -> None:
    """Wait until nothing is left to do, the index holds what Orthanc holds, and the source what it should."""
    left = form.instances if form.preserve else 0
    source, research = servers.client(servers.source), servers.client(servers.research)
    servers.owner.close()  # its connections did not survive PostgreSQL's restarts

    def ended() -> bool:
        return (
            _one(servers, "SELECT count(*) FROM ingest.tasks WHERE state = 'done'") == form.instances
            and source.statistics()["CountInstances"] == left
            and _one(servers, "SELECT count(*) FROM research.tasks WHERE state IN ('queued', 'running')") == 0
            and _indexed(servers) == set(research.all_instances())
        )

    try:
        wait_until(ended, "the end", seconds=form.seconds, every=0.5)
    except TimeoutError:
        for schema in ("ingest", "research"):
            print(_rows(servers, f"SELECT state, error_code, losses, count(*) FROM {schema}.tasks GROUP BY 1, 2, 3"))
        print(source.statistics()["CountInstances"], research.statistics()["CountInstances"], len(_indexed(servers)))
        raise


def _check(servers: PipelineServers, originals: list[bytes]) -> None:
    research = servers.client(servers.research)
    old = {str(pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID) for data in originals}
    pairs = _rows(servers, "SELECT original, replacement FROM ingest.mappings WHERE kind = 'UID'")
    new = dict(pairs)
    assert len(new) == len(pairs), "an original UID has two new ones"
    arrived = [
        str(pydicom.dcmread(io.BytesIO(research.download(instance)), stop_before_pixels=True).SOPInstanceUID)
        for instance in research.all_instances()
    ]
    assert sorted(arrived) == sorted(new[uid] for uid in old)
    assert _one(servers, "SELECT count(*) FROM ingest.tasks") == len(old)


def _indexed(servers: PipelineServers) -> set[str]:
    return set(Index(servers.owner).instance_ids())


def _rows(servers: PipelineServers, statement: str) -> list[tuple]:
    with servers.owner.transaction() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def _one(servers: PipelineServers, statement: str) -> int:
    return _rows(servers, statement)[0][0]
