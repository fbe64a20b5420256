"""Exports from the research Orthanc to S3, against what the same machine does without any bookkeeping.

The floor downloads the same instances on N keep-alive connections and puts the bytes with one client of boto3 at its
fastest settings: no list, no checksums, no progress, no manifest. Floor and product take turns, and the best of each
counts. Then one large multi-frame instance, as stored and in another transfer syntax; memory is the peak of the
worker's process over everything.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import psutil
import pydicom
from botocore.config import Config

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.goals import Benchmark, arguments
from common.auth.identity import Identity
from common.database import Database
from common.orthanc import Orthanc
from common.settings import load
from demo.servers.orthanc import start_orthanc
from demo.servers.postgresql import start_postgresql
from demo.servers.process import Server, wait_until
from demo.servers.s3 import S3Server, start_s3
from tests.helpers.slices import make_slice
from website.commands.migrate import migrate_research
from website.exports.build import build_export_services, build_requests
from website.index import Index, build_document
from website.settings import ExportWorkerSettings

ROOT = Path(__file__).parents[1]
CONNECTIONS = 8
PERMISSIONS = (
    "Profiles:\n  All: {Description: all, Destinations: [bench]}\nPermissions:\n  - {Users: rita, Profiles: All}\n"
)


class Servers:
    """PostgreSQL, Orthanc, S3 and a worker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.s3: S3Server = start_s3(folder / "s3")
        (self.s3.folder / "bench").mkdir()
        self.orthanc = start_orthanc(folder / "orthanc", "research")
        self.postgresql = start_postgresql(folder / "postgresql", durable=True)
        self.postgresql.execute("CREATE DATABASE bench")
        migrate_research(self.postgresql.database("bench"), "rpacs_website")
        (folder / "permissions.yaml").write_text(PERMISSIONS)
        (folder / "destinations.yaml").write_text(
            f"Destinations:\n  bench: {{Bucket: bench, Endpoint: '{self.s3.url}'}}\n"
        )
        os.environ.update(AWS_ACCESS_KEY_ID=self.s3.access_key, AWS_SECRET_ACCESS_KEY=self.s3.secret_key)
        self.environ = {
            "RPACS_POSTGRESQL_HOSTNAME": self.postgresql.host,
            "RPACS_POSTGRESQL_PORT": str(self.postgresql.port),
            "RPACS_POSTGRESQL_DB_NAME": "bench",
            "RPACS_POSTGRESQL_USERNAME": "rpacs_website",
            "RPACS_POSTGRESQL_PASSWORD": "rpacs_website",
            "RPACS_ORTHANC_HOSTNAME": self.orthanc.url,
            "RPACS_ORTHANC_USERNAME": self.orthanc.username,
            "RPACS_ORTHANC_PASSWORD": self.orthanc.password,
            "RPACS_PERMISSIONS_FILE": str(folder / "permissions.yaml"),
            "RPACS_EXPORT_DESTINATIONS_FILE": str(folder / "destinations.yaml"),
            "RPACS_EXPORT_CONNECTIONS": str(CONNECTIONS),
            "RPACS_AUDIT_KEY": "a" * 32,
        }
        settings = load(ExportWorkerSettings, self.environ)
        self.database = Database.from_settings(settings, application="bench")
        self.client = Orthanc(self.orthanc.url, self.orthanc.username, self.orthanc.password, timeout=(5, 600))
        self.index = Index(self.database)
        self.services = build_export_services(settings, self.database, self.client)
        self.requests = build_requests(settings, self.database, self.client, self.index)
        self.services.users.record_login(Identity("rita", frozenset(), "local"))
        command = [sys.executable, "-m", "website", "work", "--only", "export"]
        environ = {**os.environ, **self.environ, "PYTHONPATH": str(ROOT)}
        self.worker = Server("worker", command, log=folder / "worker.log", environ=environ)
        self.worker.start(lambda: True)
        self.memory = Memory(self.worker.process.pid)

    def store(self, files: list[bytes]) -> list[str]:
        """Store and index files."""
        with ThreadPoolExecutor(4) as pool:
            ids = [answer.id for answer in pool.map(self.client.upload, files)]
        self.index.add([build_document(None, data) for data in files])
        return ids

    def export(self, prefix: str, query: str, **given: Any) -> tuple[float, int]:
        """Export; returns seconds from the start of the job to its end, and the bytes."""
        given = {"query": query, "kind": "configured", "name": "bench", "prefix": prefix, **given}
        access = self.services.permissions.value.access("rita", ())
        exports = self.services.exports
        identifier = self.requests.make(access, given, None)
        wait_until(lambda: exports.read(identifier).state in ("done", "failed", "paused"), "the export", seconds=900)
        done = exports.read(identifier)
        if done.state != "done" or done.failed or not (done.started_at and done.finished_at):
            raise RuntimeError(f"the export is {done.state}: {done.reason}")
        return (done.finished_at - done.started_at).total_seconds(), done.bytes

    def stop(self) -> None:
        """Stop everything."""
        self.memory.stop()
        self.worker.stop()
        self.services.audit.close()
        self.database.close()
        for server in (self.s3, self.orthanc, self.postgresql):
            server.stop()


class Memory(threading.Thread):
    """Watches how much memory a process has; remembers the most."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process, self._end, self.peak = psutil.Process(pid), threading.Event(), 0
        self.start()

    def run(self) -> None:
        while not self._end.wait(0.05):
            try:
                self.peak = max(self.peak, self._process.memory_info().rss)
            except psutil.Error:
                return

    def stop(self) -> None:
        self._end.set()


def measure_floor(servers: Servers, ids: list[str], prefix: str) -> float:
    """Return seconds that moving the bytes takes, with nothing else."""
    client = boto3.client(
        "s3",
        endpoint_url=servers.s3.url,
        region_name="us-east-1",
        config=Config(
            max_pool_connections=CONNECTIONS,
            s3={"addressing_style": "path", "payload_signing_enabled": False},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )

    def move(instance: str) -> None:
        client.put_object(Bucket="bench", Key=f"{prefix}/{instance}.dcm", Body=servers.client.download(instance))

    started = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(move, ids))
    return time.perf_counter() - started


def large_instance(megabytes: int) -> bytes:
    """Return a multi-frame instance of about so many megabytes."""
    frames = max(2, megabytes * 1_000_000 // (512 * 512 * 2))
    dataset = pydicom.dcmread(io.BytesIO(make_slice(1, patient="LARGE", rows=512)))
    dataset.NumberOfFrames = frames
    one = np.arange(512 * 512, dtype="<u2").tobytes()
    dataset.PixelData = one * frames
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def measure(servers: Servers, benchmark: Benchmark, count: int, rounds: int, megabytes: int, *, quick: bool) -> None:
    """Run everything and note the goals."""
    ids = servers.store([make_slice(n, series=n // 100, patient="BENCH", rows=512) for n in range(count)])
    servers.export("warm", "InstanceNumber NbLess 20")
    measure_floor(servers, ids[:20], "warm")
    floors, ours, size = [], [], 0
    for number in range(rounds):
        floors.append(measure_floor(servers, ids, f"floor-{number}"))
        seconds, size = servers.export(f"ours-{number}", "PatientID StrEquals BENCH")
        ours.append(seconds)
    rows = [
        [name, count / min(times), size / min(times) / 1e6, min(times)]
        for name, times in (("floor: download and put", floors), ("export", ours))
    ]
    benchmark.table(f"{count} CT slices of 512 × 512", ["what", "per second", "MB/s", "seconds"], rows)
    slices_peak = servers.memory.peak
    servers.store([large_instance(megabytes)])
    stored, stored_bytes = servers.export("large", "PatientID StrEquals LARGE")
    stored_peak = servers.memory.peak
    frames, frames_bytes = servers.export(
        "large-rle", "PatientID StrEquals LARGE", format="transcoded", transfer_syntax="RLELossless"
    )
    rows = [
        ["slices", count * 1.0, size / 1e6, min(ours), slices_peak / 1e6],
        ["one instance, as stored", 1.0, stored_bytes / 1e6, stored, stored_peak / 1e6],
        ["the same, as RLE", 1.0, frames_bytes / 1e6, frames, servers.memory.peak / 1e6],
    ]
    benchmark.table("Memory of the worker", ["what", "instances", "MB sent", "seconds", "peak MB so far"], rows)
    benchmark.goal("throughput / floor", min(floors) / min(ours), ">=", 0.7 if quick else 0.8)
    benchmark.goal("memory (MB)", servers.memory.peak / 1e6, "<=", 300)


def main() -> int:
    given = arguments(__doc__.splitlines()[0])
    given.add_argument("--count", type=int, default=0, help="slices (2000; --quick: 300)")
    given.add_argument("--rounds", type=int, default=0, help="turns of floor and product (3; --quick: 2)")
    given.add_argument("--large", type=int, default=0, help="megabytes of the large instance (2000; --quick: 200)")
    options = given.parse_args()
    count = options.count or (300 if options.quick else 2000)
    benchmark = Benchmark("export")
    folder = Path(tempfile.mkdtemp(prefix="rpacs-bench-"))
    servers = None
    try:
        servers = Servers(folder)
        rounds, megabytes = (
            options.rounds or (2 if options.quick else 3),
            options.large or (200 if options.quick else 2000),
        )
        measure(servers, benchmark, count, rounds, megabytes, quick=options.quick)
    finally:
        if servers is not None:
            servers.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return benchmark.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
