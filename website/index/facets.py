"""Values with counts: what the matching instances hold at a path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.database import Cursor
from website.index.forms import META_UID, UID
from website.index.predicates import Fragment
from website.index.sql import Plan
from website.index.statements import values_at, with_verdict_and_matched


@dataclass(frozen=True)
class FacetValue:
    """A value, and how many of the matching instances and series hold it."""

    value: str
    instances: int
    series: int


def read_facets(
    cursor: Cursor, plan: Plan, limits: Mapping[int, int], prefix: str | None = None
) -> dict[int, list[FacetValue]]:
    """Read the commonest values at some paths, in one statement.

    The instances' own UIDs are no facet: each instance has its own.

    Parameters
    ----------
    limits
        How many values of each path.
    prefix
        If given, a pattern of LIKE for folded texts: facts without a text like it are left out.
    """
    wanted = [path for path in limits if path not in (UID, META_UID)]
    found: dict[int, list[FacetValue]] = {path: [] for path in limits}
    if not wanted:
        return found
    begin, values = with_verdict_and_matched(plan)
    parts = [_values_of(plan, path, prefix) for path in wanted]
    counted = " UNION ALL ".join(
        f"(SELECT {path}, value, sum(n), sum(series) FROM ({text}) AS each GROUP BY value"  # noqa: S608
        " ORDER BY 3 DESC, 2 LIMIT %s)"
        for path, (text, _) in zip(wanted, parts, strict=True)
    )
    own = [each for path, (_, given) in zip(wanted, parts, strict=True) for each in [*given, limits[path]]]
    cursor.execute(f"{begin} {counted}", values + own)
    for path, value, instances, series in cursor.fetchall():
        found[path].append(FacetValue(value, int(instances), int(series)))
    return found


def _values_of(plan: Plan, path: int, prefix: str | None) -> Fragment:
    """Return ``value, n, series``: by fact for the series that agree at the path, by instance for the mixed ones."""
    like = "WHERE EXISTS (SELECT FROM unnest(coalesce(fact.folded, fact.texts)) AS text WHERE text LIKE %s)"
    agreed = (
        "SELECT value, held.n, held.series FROM (SELECT f.fact, sum(m.n) AS n, count(*) AS series FROM matched AS m"  # noqa: S608
        f" JOIN research.series_fact AS f ON f.path = {path} AND f.series = m.id WHERE NOT {path} = ANY (m.mixed)"
        # OFFSET 0: the few facts that are held are looked up one by one, whatever PostgreSQL expects.
        " GROUP BY f.fact) AS held CROSS JOIN LATERAL (SELECT texts, folded FROM research.fact WHERE id = held.fact"
        f" OFFSET 0) AS fact CROSS JOIN LATERAL (SELECT DISTINCT unnest(fact.texts) AS value) AS texts"
        f" {like if prefix else ''}"
    )
    test, more = plan.instance
    mixed = (
        "SELECT own.value, count(*) AS n, 1 AS series FROM verdict AS v"  # noqa: S608
        f" LEFT JOIN {values_at(path)} AS f ON f.series = v.id CROSS JOIN LATERAL (SELECT DISTINCT i.orthanc,"
        f" element #>> '{{}}' AS value FROM research.instance AS i CROSS JOIN LATERAL jsonb_path_query("
        f"CASE WHEN i.delta ? '{path}' THEN i.delta -> '{path}' ELSE to_jsonb(f.texts) END, '$[*]') AS element"
        f" WHERE i.series = v.id AND (v.must OR {test})) AS own"
        f" WHERE {path} = ANY (v.mixed) AND own.value IS NOT NULL GROUP BY own.value, v.id"
    )
    values: list[Any] = [prefix] if prefix else []
    return f"{agreed} UNION ALL {mixed}", values + more
