"""Searching the index: count and first page of the queries that researchers ask, against the method of 1.0.

``python bench/search.py [--quick] [--json FILE] [--instances N] [--gin] [--no-reference]``

The archive is synthetic (bench/search_archive.py). *Reference* is the method of *Research PACS on AWS* 1.0 on the same
data in the same database: one jsonb document for each instance, ``dicom @? '$ ? (…)'`` with quoted keys, count, then a
page, no index. ``--gin`` measures that method with a ``jsonb_path_ops`` index too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.search_archive import Series, archive, document, instances_of, load
from common.database import Database
from common.query import parse
from demo.servers.postgresql import start_postgresql
from website.commands.migrate import migrate_research
from website.index import Index

FILTER = "(Modality In (CT, MR) AND NOT StationName StrEquals STATION7)"
# A query, and its condition as a jsonpath of the reference; None where that has no such word.
QUERIES: dict[str, tuple[str, str]] = {
    "Modality equals": ("Modality StrEquals CT", '@."00080060" == "CT"'),
    "wildcard": ("StudyDescription StrEquals *chest*", '@."00081030" like_regex ".*chest.*" flag "i"'),
    "ranges": (
        "Rows NbGreater 300 AND Rows NbLess 600 AND SliceThickness NbLessOrEquals 1.25",
        '@."00280010".double() > 300 && @."00280010".double() < 600 && @."00180050".double() <= 1.25',
    ),
    "nested path": ("ProcedureCodeSequence.CodeValue StrEquals P0042", '@."00081032"."00080100" == "P0042"'),
    "NOT": (
        "NOT (Modality StrEquals CT OR Rows NbEquals 512)",
        '!(@."00080060" == "CT" || @."00280010".double() == 512)',
    ),
    "three-way, filtered": (
        f"{FILTER} AND (StudyDescription StrEquals *head* OR StudyDescription StrEquals *neck* OR Rows NbGreater 1000)",
        '((@."00080060" == "CT" || @."00080060" == "MR") && !(@."00081010" == "STATION7")) &&'
        ' (@."00081030" like_regex ".*head.*" flag "i" || @."00081030" like_regex ".*neck.*" flag "i"'
        ' || @."00280010".double() > 1000)',
    ),
    "one SOPInstanceUID": ("SOPInstanceUID StrEquals {uid}", '@."00080018" == "{uid}"'),
    "StrNotEquals": ("BodyPartExamined StrNotEquals CHEST", '!(@."00180015" == "CHEST")'),
    "StrNotEquals on a common value": ("Modality StrNotEquals CT", '!(@."00080060" == "CT")'),
    "empty": ("", "true"),
}
FACETS = ("Modality", "StudyDescription", "ManufacturerModelName", "SliceThickness", "BodyPartExamined")
TENTH = "Modality StrEquals PT"


@dataclass
class Goal:
    """A figure, and what it must be."""

    name: str
    value: float
    wanted: float
    most: bool = True

    @property
    def ok(self) -> bool:
        return self.value <= self.wanted if self.most else self.value >= self.wanted

    def __str__(self) -> str:
        sign = "≤" if self.most else "≥"
        return f"goal {self.name}: {self.value:.4g} (wanted {sign} {self.wanted:g}) {'ok' if self.ok else 'short'}"


def clock(work: Callable[[], object]) -> float:
    """Return the milliseconds that something takes."""
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1000


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


def build_reference(database: Database, series: list[Series]) -> None:
    """Make the table of 1.0: a document for each instance, assembled in the database from the index's."""
    with database.transaction() as cursor:
        cursor.execute("CREATE TABLE reference_series (series integer PRIMARY KEY, doc jsonb)")
        cursor.execute("SELECT path, id FROM research.path")
        names = {number: path for path, number in cursor.fetchall()}
        cursor.execute(
            "SELECT base.series, array_agg(fact.path), json_agg(fact.texts) FROM research.series_base AS base"
            " CROSS JOIN unnest(base.facts) AS held JOIN research.fact ON fact.id = held GROUP BY 1"
        )
        for number, paths, texts in cursor.fetchall():
            doc: dict[str, Any] = {}
            for path, each in sorted(zip(paths, texts, strict=True), key=lambda pair: names[pair[0]]):
                *above, tag = names[path].split(".")
                level = doc
                for name in above:
                    if not isinstance(level.get(name), dict):
                        level[name] = {}
                    level = level[name]
                level[tag] = each[0] if len(each) == 1 else each or ""
            cursor.execute("INSERT INTO reference_series VALUES (%s, %s)", (number, json.dumps(doc)))
        varying = sorted((path, number) for number, path in names.items() if number > 2 and path in _VARYING)
        own = ", ".join(
            f"'{path}', CASE jsonb_array_length(i.delta -> '{n}') WHEN 1 THEN i.delta -> '{n}' -> 0"
            f" ELSE i.delta -> '{n}' END"
            for path, n in varying
        )
        cursor.execute(
            "CREATE TABLE reference AS SELECT i.orthanc, s.doc || jsonb_strip_nulls(jsonb_build_object("  # noqa: S608
            f"'00080018', i.delta -> '1' -> 0, '00020003', i.delta -> '1' -> 0, {own})) AS dicom"
            " FROM research.instance AS i JOIN reference_series AS s ON s.series = i.series ORDER BY i.series, i.number"
        )
    with database.connection() as connection, connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE reference")


_VARYING = {
    *("00200013", "00080013", "00080032", "00080033", "00200032", "00201041", "00181151", "00181152", "00281050"),
    *("00281051", "00080008", "00180050"),
}


def measure_reference(database: Database, uid: str, rounds: int) -> dict[str, list[float]]:
    """Time the method of 1.0: count, then a page."""
    times: dict[str, list[float]] = {}
    for name, (_, condition) in QUERIES.items():
        path = f"$ ? ({condition.replace('{uid}', uid)})" if condition != "true" else "$"

        def run(path: str = path) -> None:
            with database.transaction() as cursor:
                cursor.execute("SET LOCAL jit = off")
                cursor.execute("SELECT count(*) FROM reference WHERE dicom @? %s::jsonpath", (path,))
                cursor.execute(
                    "SELECT orthanc, dicom FROM reference WHERE dicom @? %s::jsonpath ORDER BY orthanc LIMIT 50",
                    (path,),
                )
                cursor.fetchall()

        times[name] = [clock(run) for _ in range(rounds)]
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


def run(options: argparse.Namespace) -> list[Goal]:
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


def measure(database: Database, options: argparse.Namespace) -> list[Goal]:
    """Measure everything in one database."""
    index, count, quick = Index(database), options.instances, options.quick
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
    goals = [Goal(f"p95 {name}, ms", p95(each), 150 if "facets" in name else limit) for name, each in times.items()]
    first, far = measure_paging(index)
    goals.append(Goal("page 5,000 / page 1", far / first, 2))
    goals.append(Goal("bytes per instance", bytes_each, 1200 if quick else 800))
    rates, single = measure_adding(index, count, 1_000 if quick else 10_000)
    slow = 1000 if quick else 1500
    goals.append(Goal("added in batches, instances/s", statistics.median(rates), slow, most=False))
    goals.append(Goal("added one at a time, instances/s", single, 150 if quick else 300, most=False))
    change = statistics.median(rates) / statistics.median(empty)
    goals.append(Goal("rate when full / when empty", change, 0.7, most=False))
    reference: dict[str, list[float]] = {}
    if not options.no_reference:
        begin = time.perf_counter()
        build_reference(database, [])
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
        goals.append(Goal("reference / ours, median", statistics.median(ratios), 10 if quick else 100, most=False))
    print(f"{'query':34}{'median ms':>11}{'p95 ms':>9}{'reference ms':>14}{'times':>8}")
    for name, each in times.items():
        there = statistics.median(reference[name]) if name in reference else float("nan")
        print(
            f"{name:34}{statistics.median(each):11.1f}{p95(each):9.1f}{there:14.0f}"
            f"{there / statistics.median(each):8.0f}"
        )
    print(f"pages of 20 instances: the first {first:.1f} ms, far behind {far:.1f} ms")
    print(f"batches: {', '.join(f'{rate:.0f}' for rate in rates)} instances/s; empty {statistics.median(empty):.0f}")
    return goals


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="30,000 instances, goals of their own")
    parser.add_argument("--instances", type=int, default=0)
    parser.add_argument("--limit", type=float, default=0, help="milliseconds wanted of each query")
    parser.add_argument("--gin", action="store_true")
    parser.add_argument("--no-reference", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.instances = options.instances or (30_000 if options.quick else 1_000_000)
    goals = run(options)
    for goal in goals:
        print(goal)
    if options.json:
        options.json.write_text(
            json.dumps(
                {goal.name: {"value": goal.value, "wanted": goal.wanted, "ok": goal.ok} for goal in goals}, indent=2
            )
        )
    return 0 if all(goal.ok for goal in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
