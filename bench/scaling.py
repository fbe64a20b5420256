"""Workers whose work is bound by latency: eight against one, both Orthancs behind an added 50 ms.

The small slices lie in the source Orthanc before a worker starts, so that nothing else is measured.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.goals import Benchmark, arguments
from demo.servers.pipeline import PipelineServers
from demo.servers.process import wait_until
from tests.helpers.faulty_proxy import FaultyProxy
from tests.helpers.slices import make_slice

DELAY = 0.05
WORKERS = 8


def measure(servers: PipelineServers, proxies: dict[str, FaultyProxy], workers: int, count: int) -> float:
    """Return instances per second of some workers, from the first result to the last."""
    source, research = servers.client(servers.source), servers.client(servers.research)
    before = int(research.statistics()["CountInstances"])
    for number in range(count):
        source.upload(make_slice(number, patient=f"W{workers}", series=number // 50))
    wait_until(lambda: queued(servers) == count, "the queue", seconds=120)
    environ = {
        "RPACS_SOURCE_ORTHANC_HOSTNAME": proxies["source"].url,
        "RPACS_DESTINATION_ORTHANC_HOSTNAME": proxies["research"].url,
    }
    # One thread each: a worker that waits does nothing else.
    command = ["deidentifier", "work", "--no-follow", "--threads", "1"]
    for number in range(workers):
        servers.start(f"work {number}", *command, environ=environ)

    def arrived() -> int:
        return int(research.statistics()["CountInstances"]) - before

    # Starting an interpreter is no work of a worker's: measured is from when all of them are surely at work.
    skipped = count // 4
    wait_until(lambda: arrived() >= skipped, "the first results", seconds=120)
    started, first = time.perf_counter(), arrived()
    wait_until(lambda: arrived() >= count - WORKERS, "the results", seconds=300, every=0.1)
    rate = (arrived() - first) / (time.perf_counter() - started)
    wait_until(lambda: arrived() == count, "the rest", seconds=120, every=0.1)
    for number in range(workers):
        servers.processes.pop(f"work {number}").stop()
    return rate


def queued(servers: PipelineServers) -> int:
    with servers.owner.transaction() as cursor:
        cursor.execute("SELECT count(*) FROM ingest.tasks WHERE state = 'queued'")
        return int((cursor.fetchone() or (0,))[0])


def main() -> int:
    given = arguments(__doc__.splitlines()[0])
    options = given.parse_args()
    benchmark = Benchmark("scaling")
    folder = Path(tempfile.mkdtemp(prefix="rpacs-bench-"))
    servers = PipelineServers(folder)
    proxies = {"source": FaultyProxy(servers.source.url), "research": FaultyProxy(servers.research.url)}
    try:
        for proxy in proxies.values():
            proxy.delay = DELAY
        servers.start("follow", "deidentifier", "follow")
        one = measure(servers, proxies, 1, 40 if options.quick else 100)
        many = measure(servers, proxies, WORKERS, 200 if options.quick else 600)
    finally:
        for proxy in proxies.values():
            proxy.close()
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)
    rows = [[1, one, 1.0], [WORKERS, many, many / one]]
    benchmark.table(f"Both Orthancs behind {1000 * DELAY:g} ms", ["workers", "instances per second", "times one"], rows)
    benchmark.goal("8 workers / 1 worker", many / one, ">=", 6)
    return benchmark.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
