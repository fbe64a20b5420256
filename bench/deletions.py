"""How soon deletions in the research Orthanc leave the index: goal 60 s at 100,000 instances.

Orthanc logs no deletions: the numbers of instances are compared every few seconds, and all instances are walked through
when they differ. Tiny instances, sent to the research Orthanc directly, indexed by the real workers.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.goals import Benchmark, arguments
from common.tasks import TaskQueue
from demo.servers.pipeline import PipelineServers
from demo.servers.process import wait_until
from tests.helpers.slices import make_slice
from website.index.index import Index
from website.workers.reconciler import IndexReconciler

PER_SERIES = 500
DELETED = 50


def fill(servers: PipelineServers, count: int) -> list[str]:
    """Send instances to the research Orthanc and wait until all are indexed; returns their identifiers."""
    client = servers.client(servers.research)

    def send(number: int) -> str:
        return client.upload(make_slice(number, series=number // PER_SERIES, patient=f"P{number // 5000}")).id

    with ThreadPoolExecutor(4) as pool:
        stored = list(pool.map(send, range(count)))
    wait_until(lambda: Index(servers.owner).count_instances() == count, "the index", seconds=3600, every=1)
    return stored


def measure_deletion(servers: PipelineServers, stored: list[str]) -> float:
    """Return seconds from the last of some deletions until their rows are gone."""
    client, index = servers.client(servers.research), Index(servers.owner)
    for instance in stored[:DELETED]:
        client.delete_instance(instance)
    deleted = time.perf_counter()
    wait_until(lambda: index.count_instances() == len(stored) - DELETED, "the deletions", seconds=300, every=0.1)
    return time.perf_counter() - deleted


def measure_walk(servers: PipelineServers) -> float:
    """Return seconds of one whole comparison."""
    queue = TaskQueue(servers.owner, "research")
    reconciler = IndexReconciler(servers.client(servers.research), Index(servers.owner), queue)
    started = time.perf_counter()
    reconciler.walk()
    return time.perf_counter() - started


def main() -> int:
    given = arguments(__doc__.splitlines()[0])
    given.add_argument("--count", type=int, default=0, help="instances (100,000; --quick: 2,000)")
    options = given.parse_args()
    count = options.count or (2_000 if options.quick else 100_000)
    benchmark = Benchmark("deletions")
    folder = Path(tempfile.mkdtemp(prefix="rpacs-bench-"))
    servers = PipelineServers(folder, durable=False)
    try:
        servers.start("website workers", "website", "work", "--only", "follow,reconcile,index")
        stored = fill(servers, count)
        seconds = [measure_deletion(servers, stored)]
        walk = measure_walk(servers)
    finally:
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)
    columns = ["instances", "deleted", "s until the index knows", "s for one walk"]
    benchmark.table("Deletions in the research Orthanc", columns, [[count, DELETED, *seconds, walk]])
    benchmark.goal("deletions leave the index, s", max(seconds), "<=", 60)
    return benchmark.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
