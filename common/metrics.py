"""Metrics of every process, for Prometheus, and the server that shows them beside health and readiness.

Labels hold kinds, steps, states and classes of error, never an identifier. A process that runs children shows theirs
too: they share a folder (``PROMETHEUS_MULTIPROC_DIR``), which has to be set before this module is imported.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import REGISTRY as _LOCAL
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from common.errors import ResearchPacsError
from common.tasks import Result, TaskQueue

logger = logging.getLogger(__name__)

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

TASKS = Counter(
    "rpacs_tasks", "Tasks that ended, or go back to the queue, by class of error.", ["kind", "state", "code"]
)
BYTES = Counter("rpacs_bytes", "Bytes of instances that were worked on.", ["kind"])
ERRORS = Counter("rpacs_errors", "Errors by where and class.", ["where", "code"])
STEPS = Histogram("rpacs_step_seconds", "Seconds that a step of a task takes.", ["kind", "step"], buckets=_BUCKETS)
WAITED = Histogram("rpacs_waited_seconds", "Seconds from asking for a task to its start.", ["kind"], buckets=_BUCKETS)
FEED_CHANGES = Counter("rpacs_feed_changes", "Changes that became tasks.", ["feed"])
FEED_LAG = Gauge("rpacs_feed_lag_changes", "Changes not read yet.", ["feed"], multiprocess_mode="livemax")
LOST_LEASES = Counter("rpacs_lost_leases", "Tasks whose worker gave no sign of life.", ["schema"])
RULES_REFUSED = Gauge("rpacs_rules_refused", "1 while an edited rules file is refused.", multiprocess_mode="livemax")
RECONCILED = Counter("rpacs_reconciled", "What reconciliation found missing or left over.", ["side", "what"])


@contextmanager
def timed(kind: str, step: str) -> Iterator[None]:
    """Observe how long a block takes."""
    started = time.perf_counter()
    try:
        yield
    finally:
        STEPS.labels(kind, step).observe(time.perf_counter() - started)


def count_error(where: str, error: BaseException) -> None:
    """Count an error by its class."""
    ERRORS.labels(where, error.code if isinstance(error, ResearchPacsError) else "Unexpected").inc()


def count_result(result: Result) -> None:
    """Count what became of a task."""
    TASKS.labels(result.task.kind, result.state, result.error_code or "").inc()
    BYTES.labels(result.task.kind).inc(result.bytes)


class QueueCollector(Collector):
    """Depth and age of a queue by kind and state, read from the database when somebody asks."""

    def __init__(self, queue: TaskQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges; none while the database is away."""
        tasks = GaugeMetricFamily("rpacs_queue_tasks", "Tasks in the queue.", labels=["kind", "state", "code"])
        oldest = GaugeMetricFamily("rpacs_queue_oldest_seconds", "Age of the oldest task.", labels=["kind", "state"])
        try:
            counts = self._queue.counts()
        except ResearchPacsError as exc:
            count_error("metrics", exc)
            return
        ages: dict[tuple[str, str], float] = {}
        for row in counts:
            tasks.add_metric([row["kind"], row["state"], row["error_code"]], row["tasks"])
            key = (row["kind"], row["state"])
            ages[key] = max(ages.get(key, 0), row["oldest_seconds"] or 0)
        for (kind, state), age in ages.items():
            oldest.add_metric([kind, state], age)
        yield tasks
        yield oldest


Check = Callable[[], object]
"""Raises an error of ours when something that readiness needs is away."""


def serve(port: int, queue: TaskQueue, checks: Mapping[str, Check], *, host: str = "0.0.0.0") -> ThreadingHTTPServer:  # noqa: S104 - scraped from other hosts
    """Serve ``/metrics``, ``/healthcheck`` (the process lives) and ``/ready`` (its peers answer) in a thread."""
    registry = _registry()
    registry.register(QueueCollector(queue))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path == "/metrics":
                self._answer(200, "text/plain; version=0.0.4; charset=utf-8", generate_latest(registry))
            elif path == "/healthcheck":
                self._answer(200, "application/json", b'{"status": "ok"}')
            elif path == "/ready":
                problems = run_checks(checks)
                body = json.dumps({"status": "unready" if problems else "ready", "problems": problems})
                self._answer(503 if problems else 200, "application/json", body.encode())
            else:
                self._answer(404, "text/plain", b"")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not worth a line."""

    server = ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def run_checks(checks: Mapping[str, Check]) -> dict[str, str]:
    """Return the names of the checks that fail, and the class of error."""
    problems = {}
    for name, check in checks.items():
        try:
            check()
        except ResearchPacsError as exc:
            problems[name] = exc.code
    return problems


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    try:
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    except ValueError:  # no folder is set: this process is alone
        registry.register(_LOCAL)
    return registry
