"""What every search statement begins with: the verdict on each series, the series that match and how many instances."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from common.errors import QueryError
from website.index.predicates import Fragment
from website.index.sql import Plan


def with_verdict(plan: Plan, series: list[int] | None = None) -> Fragment:
    """Begin a statement: ``verdict`` holds the series that may match, with ``must`` and the tests of their bases.

    Of ``series`` alone, where they are given.
    """
    source, values = _tested(plan, series)
    return (
        f"WITH verdict AS MATERIALIZED (SELECT v.*, {plan.must} AS must FROM ({source}) AS v WHERE {plan.may})",  # noqa: S608
        values,
    )


def with_matched(plan: Plan) -> Fragment:
    """Begin a statement: ``matched`` holds the series with some matching instance, and how many they are, ``n``."""
    source, values = _tested(plan)
    count, more = _count(plan, plan.must)
    columns = f"v.id, v.study, v.patient, {count} AS n"
    found = f"SELECT {columns} FROM ({source}) AS v WHERE {plan.may} OFFSET 0"  # noqa: S608
    matched = f"SELECT m.* FROM ({found}) AS m WHERE m.n > 0"  # noqa: S608
    return f"WITH matched AS MATERIALIZED ({matched})", more + values


def with_verdict_and_matched(plan: Plan) -> Fragment:
    """Begin a statement with ``verdict`` and, of it, ``matched``, which here says too where its series are mixed."""
    verdict, values = with_verdict(plan)
    count, more = _count(plan, "v.must")
    found = f"SELECT v.id, v.mixed, {count} AS n FROM verdict AS v OFFSET 0"  # noqa: S608
    matched = f"SELECT m.* FROM ({found}) AS m WHERE m.n > 0"  # noqa: S608
    return f"{verdict}, matched AS MATERIALIZED ({matched})", values + more


def _tested(plan: Plan, series: list[int] | None = None) -> Fragment:
    """Return a subquery of the series with the tests of their bases."""
    asked = plan.series if series is None else series
    only, given = (" WHERE s.id = ANY (%s)", [asked]) if asked is not None else ("", [])
    names = [f"{'bx'[at % 2]}{at // 2}" for at in range(len(plan.columns))]
    tests = "".join(f", {text} AS {name}" for name, (text, _) in zip(names, plan.columns, strict=True))
    # OFFSET 0: each test is computed once for each series, however often must and may name it.
    columns = f"s.id, s.study, s.patient, s.orthanc, s.instances, s.mixed{tests}"
    return (
        f"SELECT {columns} FROM research.series AS s{only} OFFSET 0",  # noqa: S608
        [*(value for _, values in plan.columns for value in values), *given],
    )


def _count(plan: Plan, must: str) -> Fragment:
    """Count the matching instances of a series ``v``: all of them are known, some are looked for, by the index."""
    if plan.certain:
        return "v.instances::bigint", []
    test, values = plan.instance
    some = f"SELECT count(*) FROM research.instance AS i WHERE i.series = v.id AND {test}"  # noqa: S608
    return f"CASE WHEN {must} THEN v.instances::bigint ELSE ({some}) END", values


def values_at(path: int) -> str:
    """Return a subquery of the bases' facts at a path: ``series, fact, texts, sort_key``."""
    return (
        f"(SELECT held.series, fact.id AS fact, fact.texts, fact.sort_key FROM research.series_fact AS held"  # noqa: S608
        f" JOIN research.fact ON fact.id = held.fact AND fact.path = {path} WHERE held.path = {path})"
    )


def write_cursor(*position: Any) -> str:
    """Write the position of the last row of a page as one opaque word."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def read_cursor(cursor: str, kinds: tuple[type, ...]) -> tuple[Any, ...]:
    """Read a position back.

    Raises
    ------
    QueryError
        It is none of ours.
    """
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as exc:
        raise QueryError("the address names no page of this result: begin at the first") from exc
    if not isinstance(position, list) or [type(part) for part in position] != list(kinds):
        raise QueryError("the address names no page of this result: begin at the first")
    if any(isinstance(part, int) and abs(part) >= 2**31 for part in position):
        raise QueryError("the address names no page of this result: begin at the first")
    if any(isinstance(part, str) and "\0" in part for part in position):
        raise QueryError("the address names no page of this result: begin at the first")
    return tuple(position)
