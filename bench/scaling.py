"""Scaling of the de-identifier: eight workers against one, and the deployment's policy against fixed fleets.

First, workers whose work is bound by latency: both Orthancs are behind an added 50 ms, and the small slices lie in the
source Orthanc before a worker starts, so that nothing else is measured. Then days of arrivals are simulated with what
one worker got done, for the scaling that the CloudFormation template describes and for fleets of a fixed size.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.goals import Benchmark, arguments
from bench.scaling_plot import draw
from bench.scaling_policy import Run, Scaling, cost_of_the_work, fixed, simulate, template_policy, traces
from deidentifier.commands.work import THREADS
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
    given.add_argument("--plot", type=Path, metavar="FILE", help="draw the night's backlog, as SVG")
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
    compare_with_fixed_fleets(benchmark, 60 * one * THREADS, options.plot)
    return benchmark.finish(options.json)


def compare_with_fixed_fleets(benchmark: Benchmark, per_minute: float, plot: Path | None) -> None:
    """Simulate the template's policy and fixed fleets; ``per_minute`` is what one worker gets done."""
    policy = template_policy()
    scaled, largest = "as in the template", f"always {policy.maximum}"
    days: dict[str, dict[str, Run]] = {}
    for name, arrivals in traces(per_minute, policy.maximum).items():
        runs = {scaled: simulate(arrivals, per_minute, Scaling(policy))}
        runs |= {f"always {count}": simulate(arrivals, per_minute, fixed(count)) for count in (1, 4, policy.maximum)}
        work = cost_of_the_work(arrivals, per_minute)
        rows = [[kind, run.longest_wait, max(run.workers), run.cost, run.cost / work] for kind, run in runs.items()]
        columns = ["fleet", "minutes to drain", "most workers", "dollars", "times the work alone"]
        benchmark.table(f"{name}: {sum(arrivals):,.0f} instances, {per_minute:,.0f} a minute and worker", columns, rows)
        days[name] = runs
    night, quiet = days["a night's backlog"], days["quiet days"]
    drained = _ratio(night, scaled, largest, "longest_wait")
    benchmark.goal("a night's backlog, minutes to drain / by the largest fleet", drained, "<=", 1.25)
    benchmark.goal("a night's backlog, cost / of the largest fleet", _ratio(night, scaled, largest, "cost"), "<=", 0.1)
    benchmark.goal("quiet days, cost / of one worker", _ratio(quiet, scaled, "always 1", "cost"), "<=", 0.25)
    if plot is not None:
        plot.write_text(draw(night))


def _ratio(runs: dict[str, Run], one: str, other: str, figure: str) -> float:
    return float(getattr(runs[one], figure)) / float(getattr(runs[other], figure))


if __name__ == "__main__":
    sys.exit(main())
