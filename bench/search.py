"""Searching the index: count and first page of the queries that researchers ask, against the method of 1.0.

``python bench/search.py [--quick] [--json FILE] [--instances N] [--gin] [--no-reference]``

The archive is synthetic (bench/search_archive.py). *Reference* is the method of *Research PACS on AWS* 1.0 on the same
data in the same database: one jsonb document for each instance, ``dicom @? '$ ? (…)'`` with quoted keys, count, then a
page, no index. ``--gin`` measures that method with a ``jsonb_path_ops`` index too.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.goals import Benchmark, arguments
from bench.search_archive import Series, archive, document, instances_of, load
from bench.search_reference import QUERIES, build_reference, clock, measure_reference
from common.database import Database
from common.query import parse
from demo.servers.postgresql import start_postgresql
from website.commands.migrate import migrate_research
from website.index import Index

FACETS = ("Modality", "StudyDescription", "ManufacturerModelName", "SliceThickness", "BodyPartExamined")
TENTH = "Modality StrEquals PT"


def p95(values: list[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def search(index: Index, text: str) -> None:
    """Do what a search page does: count, and the first page."""
    index.search(
        parse(text),
        "study",
        "-StudyDate",
        limit=50,
        columns=["StudyDescription", "StudyDate", "Modality", "PatientID"],
    )


def measure_queries(index: Index, uid: str, rounds: int) -> dict[str, list[float]]:
    """Time each query warm."""
    times = {}
    for name, (text, _) in QUERIES.items():
        query = text.format(uid=uid) if "{uid}" in text else text
        for _ in range(3):
            search(index, query)
        times[name] = [clock(lambda query=query: search(index, query)) for _ in range(rounds)]
    node = parse(TENTH)
    index.facets(node, FACETS)
    times["five facets of a tenth"] = [clock(lambda: index.facets(node, FACETS)) for _ in range(rounds)]
    return times


def measure_adding(index: Index, instances: int, count: int) -> tuple[list[float], float]:
    """Return the rates, instances/s, of adding in batches of 100 (a rate for each tenth), and of adding one by one.

    The instances come as they do in practice, series after series.
    """
    made: list[Any] = []
    for series in archive(instances * 2):
        extra = Series(
            type(series.ids)("", _other(series.ids.series), _other(series.ids.study), _other(series.ids.patient)),
            series.texts, series.instances, series.localizer, series.thin,
        )  # fmt: skip
        made += [document(extra, ids, own) for ids, own in instances_of(extra)]
        if len(made) > count + 300:
            break
    batches = [made[at : at + 100] for at in range(0, count, 100)]
    spent = [clock(lambda batch=batch: index.add(batch)) for batch in batches]
    tenth = max(1, len(batches) // 10)
    rates = [tenth * 1e5 / sum(spent[at : at + tenth]) for at in range(0, len(batches) - tenth + 1, tenth)]
    singles = made[count : count + 300]
    single = len(singles) * 1000 / sum(clock(lambda one=one: index.add([one])) for one in singles)
    index.remove(each.ids.instance for each in made)
    return rates, single


def _other(identifier: str) -> str:
    return identifier[::-1]


def measure_paging(index: Index) -> tuple[float, float]:
    """Return the milliseconds of the first page of instances, and of the 5,000th (or the last)."""
    node = parse("Modality In (CT, MR, PT)")
    limit = 20

    def turn(after: str) -> str | None:
        return index.page(node, "instance", "-StudyDate", after, limit, ["InstanceNumber"]).next

    held = index.count(node).instances
    # One large page ends where the 4,999 before it would.
    before = index.page(node, "instance", "-StudyDate", "", min(4999 * limit, held - limit))
    after = before.next or ""
    return (
        statistics.median(clock(lambda: turn("")) for _ in range(15)),
        statistics.median(clock(lambda: turn(after)) for _ in range(15)),
    )


def size_of(database: Database) -> int:
    """Return the bytes of the whole index on disk."""
    tables = "('path','shape','fact','patient','study','series','series_base','series_fact','instance')"
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid ="  # noqa: S608
            f" c.relnamespace WHERE n.nspname = 'research' AND c.relname IN {tables}"
        )
        return int((cursor.fetchone() or (0,))[0])


def run(options: argparse.Namespace) -> Benchmark:
    """Measure everything on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-search-") as folder:
        server = start_postgresql(
            Path(folder),
            settings=("shared_buffers=2GB", "max_wal_size=8GB", "maintenance_work_mem=512MB", "autovacuum=on"),
        )
        try:
            server.execute("CREATE DATABASE bench")
            database = server.database("bench")
            migrate_research(database)
            return measure(database, options)
        finally:
            server.stop()


def measure(database: Database, options: argparse.Namespace) -> Benchmark:
    """Measure everything in one database."""
    index, count, quick = Index(database), options.instances, options.quick
    benchmark = Benchmark("search")
    empty, _ = measure_adding(index, 20_000, 1_000 if quick else 10_000)
    begin = time.perf_counter()
    total = load(database, index, count)
    bytes_each = size_of(database) / total
    print(
        f"{total:,} instances loaded in {time.perf_counter() - begin:.0f} s, {bytes_each:.0f} bytes each,"
        f" {index.count(parse(''))}"
    )
    uid = next(instances_of(next(archive(count))))[1]["SOPInstanceUID"][0]
    times = measure_queries(index, uid, 20 if quick else 40)
    limit = options.limit or 50
    for name, each in times.items():
        benchmark.goal(f"p95 {name}, ms", p95(each), "<=", 150 if "facets" in name else limit)
    first, far = measure_paging(index)
    benchmark.goal("page 5,000 / page 1", far / first, "<=", 2)
    benchmark.goal("bytes per instance", bytes_each, "<=", 1200 if quick else 800)
    rates, single = measure_adding(index, count, 1_000 if quick else 10_000)
    slow = 1000 if quick else 1500
    benchmark.goal("added in batches, instances/s", statistics.median(rates), ">=", slow)
    benchmark.goal("added one at a time, instances/s", single, ">=", 150 if quick else 300)
    change = statistics.median(rates) / statistics.median(empty)
    benchmark.goal("rate when full / when empty", change, ">=", 0.7)
    reference: dict[str, list[float]] = {}
    if not options.no_reference:
        begin = time.perf_counter()
        build_reference(database)
        print(f"reference built in {time.perf_counter() - begin:.0f} s")
        reference = measure_reference(database, uid, 1)
        if options.gin:
            begin = time.perf_counter()
            with database.transaction() as cursor:
                cursor.execute("CREATE INDEX ON reference USING gin (dicom jsonb_path_ops)")
                cursor.execute("SELECT pg_total_relation_size('reference') / %s", (total,))
                print(
                    f"GIN built in {time.perf_counter() - begin:.0f} s;"
                    f" {(cursor.fetchone() or (0,))[0]} bytes per instance with the table"
                )
            for name, each in measure_reference(database, uid, 2).items():
                print(f"  GIN {name}: {min(each):.0f} ms")
        ratios = [statistics.median(each) / statistics.median(times[name]) for name, each in reference.items()]
        benchmark.goal("reference / ours, median", statistics.median(ratios), ">=", 10 if quick else 100)
    rows = []
    for name, each in times.items():
        there = statistics.median(reference[name]) if name in reference else float("nan")
        rows.append([name, statistics.median(each), p95(each), there, there / statistics.median(each)])
    columns = ["query", "median ms", "95 % ms", "reference ms", "times"]
    benchmark.table(f"{total:,} instances: count and first page", columns, rows)
    print(f"pages of 20 instances: the first {first:.1f} ms, far behind {far:.1f} ms")
    print(f"batches: {', '.join(f'{rate:.0f}' for rate in rates)} instances/s; empty {statistics.median(empty):.0f}")
    return benchmark


def main() -> int:
    """Run the benchmark."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--instances", type=int, default=0, help="1,000,000; --quick: 30,000, with goals of their own")
    parser.add_argument("--limit", type=float, default=0, help="milliseconds wanted of each query")
    parser.add_argument("--gin", action="store_true", help="measure a jsonb_path_ops index, too")
    parser.add_argument("--no-reference", action="store_true", help="leave out the method of 1.0")
    options = parser.parse_args()
    options.instances = options.instances or (30_000 if options.quick else 1_000_000)
    return run(options).finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
