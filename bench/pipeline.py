"""From C-STORE to searchable, against what one Orthanc can do at all on the same machine.

The floor is one Orthanc that takes the same slices in by C-STORE on four associations, and then hands each out and
takes it in again by REST, with a script that does nothing else: a slice cannot go through two Orthancs for less. It is
measured before and after the pipeline: neither other work on the machine nor the state of the file system favours one.
In between the pipeline: both Orthancs, PostgreSQL, the de-identifier and the indexer; then single sends on the idle
platform.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.goals import Benchmark, arguments
from common.orthanc import Orthanc
from demo.servers.orthanc import OrthancServer, start_orthanc
from demo.servers.pipeline import PipelineServers
from demo.servers.process import wait_until
from tests.helpers.slices import make_slice
from website.index.index import Index

ASSOCIATIONS = 4
ROWS = 512
FLOOR = "floor: both"


def make_files(folder: Path, count: int, prefix: str, per_series: int = 50) -> list[Path]:
    folder.mkdir(parents=True)
    files = []
    for number in range(count):
        file = folder / f"{number:05}.dcm"
        file.write_bytes(make_slice(number, series=number // per_series, patient=prefix, rows=ROWS))
        files.append(file)
    return files


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


def measure_floor(folder: Path, files: Sequence[Path]) -> dict[str, float]:
    server = start_orthanc(folder, "research")
    try:
        started = time.perf_counter()
        send(server, files)
        stored = time.perf_counter()
        client = Orthanc(server.url, server.username, server.password)
        ids = client.instances(0, len(files))
        with ThreadPoolExecutor(ASSOCIATIONS) as pool:
            copies = list(pool.map(lambda instance: client.upload(client.download(instance)).status, ids))
        ended = time.perf_counter()
        if len(copies) != len(files):
            raise RuntimeError("the floor lost instances")
    finally:
        server.stop()
    count = len(files)
    return {
        "C-STORE into one Orthanc": count / (stored - started),
        "REST out of and into it": count / (ended - stored),
        FLOOR: count / (ended - started),
    }


def _mean(*floors: dict[str, float]) -> dict[str, float]:
    """Return the rates of all floors together: of the sum of their times."""
    return {name: statistics.harmonic_mean([floor[name] for floor in floors]) for name in floors[0]}


def searchable(servers: PipelineServers) -> int:
    return Index(servers.owner).count_instances()


def measure_pipeline(servers: PipelineServers, files: Sequence[Path]) -> float:
    before = searchable(servers)
    started = time.perf_counter()
    send(servers.source, files)
    _await(lambda: searchable(servers) >= before + len(files), "searchable instances", 600)
    return len(files) / (time.perf_counter() - started)


def measure_latency(servers: PipelineServers, files: Sequence[Path]) -> list[float]:
    """Return seconds from the end of each C-STORE to searchable, on the idle platform."""
    seconds = []
    for file in files:
        before = searchable(servers)
        send(servers.source, [file], 1)
        started = time.perf_counter()
        _await(lambda before=before: searchable(servers) > before, "one searchable instance", 60)
        seconds.append(time.perf_counter() - started)
        time.sleep(0.5)
    return sorted(seconds)


def _await(ready: Callable[[], bool], what: str, seconds: float) -> None:
    wait_until(ready, what, seconds=seconds, every=0.02)


def _cpu(servers: PipelineServers) -> dict[str, float]:
    """Return seconds of CPU that each process tree has used."""
    import psutil

    trees = {
        **{name: process.process for name, process in servers.processes.items()},
        "source Orthanc": servers.source.server.process,
        "research Orthanc": servers.research.server.process,
        "PostgreSQL": servers.postgresql.server.process,
    }
    used = {}
    for name, process in trees.items():
        root = psutil.Process(process.pid)
        times = [each.cpu_times() for each in [root, *root.children(recursive=True)]]
        used[name] = sum(t.user + t.system for t in times) + root.cpu_times().children_user
    return used


def main() -> int:
    given = arguments(__doc__.splitlines()[0])
    given.add_argument("--count", type=int, default=0, help="slices (1000; --quick: 200)")
    given.add_argument("--processes", default="1", help="of the de-identifier")
    given.add_argument("--threads", default="4", help="of each")
    options = given.parse_args()
    count = options.count or (200 if options.quick else 1000)
    singles = 10 if options.quick else 50
    benchmark = Benchmark("pipeline")
    folder = Path(tempfile.mkdtemp(prefix="rpacs-bench-"))
    servers = None
    try:
        files = make_files(folder / "slices", count, "BENCH")
        warm = make_files(folder / "warm", 20, "WARM")
        single = make_files(folder / "single", singles, "SINGLE")
        before_it = measure_floor(folder / "floor", files)
        servers = PipelineServers(folder / "servers", durable=True)
        work = ["deidentifier", "work", "--processes", options.processes, "--threads", options.threads]
        servers.start("de-identifier", *work)
        servers.start("website workers", "website", "work")
        measure_pipeline(servers, warm)
        before = _cpu(servers)
        rate = measure_pipeline(servers, files)
        after = _cpu(servers)
        latency = measure_latency(servers, single)
        servers.stop()
        servers = None
        floor = _mean(before_it, measure_floor(folder / "floor again", files))
    finally:
        if servers is not None:
            servers.stop()
        shutil.rmtree(folder, ignore_errors=True)
    rows = [[name, value, 1000 / value] for name, value in {**floor, "floor: before": before_it[FLOOR]}.items()]
    rows.append(["pipeline: C-STORE to searchable", rate, 1000 / rate])
    benchmark.table(f"{count} CT slices of 512 × 512", ["what", "per second", "ms each"], rows)
    spent = [[name, 1000 * (after[name] - before[name]) / count] for name in after]
    benchmark.table("Where the pipeline's CPU goes", ["process", "ms of CPU per slice"], spent)
    median, p95 = statistics.median(latency), latency[int(len(latency) * 0.95) - 1]
    benchmark.table(
        "Single sends on the idle platform", ["median s", "95 % s", "worst s"], [[median, p95, latency[-1]]]
    )
    benchmark.goal("pipeline / floor", rate / floor[FLOOR], ">=", 0.5 if options.quick else 0.7)
    benchmark.goal("latency median s", median, "<=", 1.5)
    benchmark.goal("latency 95 % s", p95, "<=", 3.0)
    return benchmark.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
