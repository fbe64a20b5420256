"""The method of *Research PACS on AWS* 1.0, the reference of bench/search.py, and the queries that both answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from common.database import Database

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
_VARYING = {
    *("00200013", "00080013", "00080032", "00080033", "00200032", "00201041", "00181151", "00181152", "00281050"),
    *("00281051", "00080008", "00180050"),
}


def clock(work: Callable[[], object]) -> float:
    """Return the milliseconds that something takes."""
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1000


def build_reference(database: Database) -> None:
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
