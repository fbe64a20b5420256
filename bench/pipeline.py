"""From C-STORE to searchable, against what the Orthancs take for it on the same machine.

The floors (``bench/pipeline_floors.py``) are measured before and after the pipeline: neither other work on the machine
nor the state of the file system favours one. In between the pipeline: both Orthancs, PostgreSQL, the de-identifier and
the indexer; then single sends on the idle platform.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.goals import Benchmark, arguments
from bench.pipeline_floors import BARE, GUARDED, join, measure_bare, measure_guarded, measure_script, send
from demo.servers.pipeline import PipelineServers
from demo.servers.process import wait_until
from tests.helpers.slices import make_slice
from website.index.index import Index

ROWS = 512


def make_files(folder: Path, count: int, prefix: str, per_series: int = 50) -> list[Path]:
    folder.mkdir(parents=True)
    files = []
    for number in range(count):
        file = folder / f"{number:05}.dcm"
        file.write_bytes(make_slice(number, series=number // per_series, patient=prefix, rows=ROWS))
        files.append(file)
    return files


def _measure_floors(folder: Path, files: Sequence[Path]) -> dict[str, float]:
    return {**measure_bare(folder / "bare", files), **measure_guarded(folder / "guarded", files)}


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
    given.add_argument("--count", type=int, default=0, help="slices (2000; --quick: 200)")
    given.add_argument("--processes", default=str(os.cpu_count() or 1), help="of the de-identifier (one for each core)")
    given.add_argument("--threads", default="2", help="of each (2)")
    options = given.parse_args()
    count = options.count or (200 if options.quick else 2000)
    singles = 10 if options.quick else 50
    benchmark = Benchmark("pipeline")
    folder = Path(tempfile.mkdtemp(prefix="rpacs-bench-"))
    servers = None
    try:
        files = make_files(folder / "slices", count, "BENCH")
        warm = make_files(folder / "warm", 20, "WARM")
        single = make_files(folder / "single", singles, "SINGLE")
        script = measure_script(folder / "script", files[: max(200, count // 4)])
        floors = _measure_floors(folder / "floors before", files)
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
        floor = join(floors, _measure_floors(folder / "floors after", files))
    finally:
        if servers is not None:
            servers.stop()
        shutil.rmtree(folder, ignore_errors=True)
    rates = {**script, **floor, "pipeline: C-STORE to searchable": rate}
    rows = [[name, value, 1000 / value, value / floor[BARE], value / floor[GUARDED]] for name, value in rates.items()]
    columns = ["what", "per second", "ms each", "of the bare floor", "of the guarded floor"]
    benchmark.table(f"{count} CT slices of 512 × 512", columns, rows)
    spent = [[name, 1000 * (after[name] - before[name]) / count] for name in after]
    benchmark.table("Where the pipeline's CPU goes", ["process", "ms of CPU per slice"], spent)
    median, p95 = statistics.median(latency), latency[int(len(latency) * 0.95) - 1]
    benchmark.table(
        "Single sends on the idle platform", ["median s", "95 % s", "worst s"], [[median, p95, latency[-1]]]
    )
    benchmark.goal("pipeline / guarded floor", rate / floor[GUARDED], ">=", 0.5 if options.quick else 0.7)
    benchmark.goal("latency median s", median, "<=", 1.5)
    benchmark.goal("latency 95 % s", p95, "<=", 3.0)
    return benchmark.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
