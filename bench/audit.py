"""What the audit trail costs a request: an entry that is chained and committed before the answer.

Fifty threads append at once, as the requests of fifty users would, to a durable PostgreSQL. Compared in the same run
with the same threads committing a plain INSERT each (what an unchained table would cost), and with a chain that is
appended to one commit at a time (what the shared commit saves).
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.goals import Benchmark, arguments
from common.audit import AuditTrail, _append, serialise, verify
from common.database import Database
from demo.servers.postgresql import start_postgresql
from website.commands.migrate import migrate_research

THREADS = 50
KEY = "k" * 32
ENTRY = {
    "request": "0" * 32, "user": "alice", "groups": ["research", "ct"], "profiles": ["CtOnly"], "token": None,
    "purpose": "EK 2024-17", "address": "10.0.0.1", "action": "search.show_search", "method": "GET", "path": "/search",
    "arguments": "q=Modality+StrEquals+CT", "objects": [], "phase": "begin",
}  # fmt: skip


def run(append: Callable[[], None], seconds: float) -> tuple[float, float]:
    """Append from all threads for some seconds; returns entries per second, and the 95th percentile in ms."""
    took: list[float] = []
    deadline = time.perf_counter() + seconds

    def loop() -> None:
        while (start := time.perf_counter()) < deadline:
            append()
            took.append(time.perf_counter() - start)

    threads = [threading.Thread(target=loop) for _ in range(THREADS)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(took) / (time.perf_counter() - begun), sorted(took)[int(len(took) * 0.95)] * 1000


def main() -> int:
    """Measure."""
    given = arguments(__doc__.split("\n")[0]).parse_args()
    seconds = 3.0 if given.quick else 10.0
    report = Benchmark("audit")
    with tempfile.TemporaryDirectory() as folder:
        server = start_postgresql(Path(folder))
        try:
            _measure(report, server.database, seconds)
        finally:
            server.stop()
    return report.finish(given.json)


def _measure(report: Benchmark, connect: Callable[..., Database], seconds: float) -> None:
    owner = connect("postgres")
    migrate_research(owner, "rpacs_website")
    database = connect("postgres", "rpacs_website", "rpacs_website")
    with owner.transaction() as cursor:
        cursor.execute("CREATE TABLE plain (entry json)")
        cursor.execute("GRANT INSERT ON plain TO rpacs_website; GRANT USAGE ON SCHEMA public TO rpacs_website")
    trail = AuditTrail(database, "research", KEY)

    def plain() -> None:
        with database.transaction() as cursor:
            cursor.execute("INSERT INTO plain VALUES (%s)", (serialise(ENTRY),))

    def single() -> None:
        with database.transaction() as cursor:
            _append(cursor, "research", KEY, [serialise(ENTRY)])

    rows = {
        "chained, shared commits (the product)": run(lambda: trail.append(ENTRY), seconds),
        "chained, a commit each": run(single, seconds),
        "not chained, a commit each": run(plain, seconds),
    }
    trail.close()
    begun = time.perf_counter()
    result = verify(owner, "research", KEY)
    verified = result.rows / (time.perf_counter() - begun)
    report.table(
        f"{THREADS} threads", ("", "entries/s", "95 % within ms"), [(name, *values) for name, values in rows.items()]
    )
    product, single_row = list(rows.values())[:2]
    report.goal("audit entries per second", product[0], ">=", 500)
    report.goal("audit 95th percentile ms", product[1], "<=", 200)
    report.goal("shared commits against one each", product[0] / single_row[0], ">=", 2)
    report.goal("rows verified per second", verified, ">=", 10000)
    report.goal("problems found", len(result.problems), "==", 0)


if __name__ == "__main__":
    sys.exit(main())
