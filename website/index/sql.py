"""The meaning of a query in SQL.

A query is decided in two steps. For every series each test of the query gives two answers: ``b``, whether the base of
the series satisfies it, and ``x``, whether some instance may differ from the base at its path. From them follow, for
each series, whether all of its instances *must* match and whether any *may*. Only the instances of series that may but
need not match are looked at one by one. Values are parameters, always; the text of a statement is made of numbers of
paths and of the fragments here and in :mod:`website.index.predicates`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from common.query import And, Condition, Node, Not
from common.query.operators import OPERATORS, Operand
from website.index.document import format_path
from website.index.forms import META_UID, ODD, UID
from website.index.predicates import ENTRIES, FACTS, Entry, Fragment, all_or_any, join, patterns

Test = tuple[str, Operand]

_FALSE: Fragment = ("false", [])


@dataclass
class Plan:
    """A query as SQL.

    Attributes
    ----------
    columns
        ``b0, x0, b1, …`` computed of each series ``s``: what the tests say of its base.
    must, may
        Of a row with those columns: all instances match; some instance may.
    instance
        Of such a row ``v`` and an instance ``i`` of it: this instance matches.
    series
        Numbers of the only series that are asked about; None for all.
    """

    columns: list[Fragment] = field(default_factory=list)
    must: str = "true"
    may: str = "true"
    instance: Fragment = ("true", [])
    series: list[int] | None = None

    @property
    def certain(self) -> bool:
        """Tell whether no series needs a look at its instances, whatever they hold."""
        return self.must == self.may


def translate(node: Node, paths: Mapping[str, int]) -> Plan:
    """Translate a query.

    Parameters
    ----------
    paths
        Numbers of the paths that the index knows; a path that it does not know is present nowhere.
    """
    translator = _Translator(paths)
    must, may, instance = translator.node(node)
    return Plan(translator.columns, must, may, instance)


class _Translator:
    def __init__(self, paths: Mapping[str, int]) -> None:
        self._paths = paths
        self._known: dict[tuple[int, str, tuple[Test, ...]], tuple[str, str, Fragment]] = {}
        self.columns: list[Fragment] = []

    def node(self, node: Node) -> tuple[str, str, Fragment]:
        """Return what must match and what may of a series, and the meaning for an instance."""
        if isinstance(node, Condition):
            operator = OPERATORS[node.operator]
            answer = self._test(format_path(node.path), "AND", (_test_of(node),))
            return _negated(answer) if operator.negated else answer
        if isinstance(node, Not):
            return _negated(self.node(node.part))
        joined, none = ("AND", "true") if isinstance(node, And) else ("OR", "false")
        answers = self._parts(joined, node.parts)
        musts, mays = join(joined, none, [a[0] for a in answers]), join(joined, none, [a[1] for a in answers])
        texts = join(joined, none, [a[2][0] for a in answers])
        return musts, mays, (texts, [value for a in answers for value in a[2][1]])

    def _parts(self, joined: str, parts: Sequence[Node]) -> list[tuple[str, str, Fragment]]:
        """Translate parts; those that test one path are one test of its facts, so that a range costs one look-up."""
        tests: dict[str, list[Test]] = {}
        others: list[Node] = []
        for part in parts:
            if isinstance(part, Condition) and not OPERATORS[part.operator].negated:
                tests.setdefault(format_path(part.path), []).append(_test_of(part))
            else:
                others.append(part)
        merged = []
        for path, each in tests.items():
            apart = [[one] for one in each] if self._paths.get(path) in (UID, META_UID) else [each]
            merged += [self._test(path, joined, tuple(some)) for some in apart]
        return [*merged, *map(self.node, others)]

    def _test(self, path: str, joined: str, tests: tuple[Test, ...]) -> tuple[str, str, Fragment]:
        number = self._paths.get(path)
        if number is None:
            return "false", "false", _FALSE
        key = (number, joined, tests)
        if key not in self._known:
            self._known[key] = self._add(number, joined, tests)
        return self._known[key]

    def _add(self, path: int, joined: str, tests: tuple[Test, ...]) -> tuple[str, str, Fragment]:
        own = path in (UID, META_UID)
        at = len(self.columns) // 2
        fact, values = all_or_any(joined, [FACTS[test](operand) for test, operand in tests])
        base = (
            f"s.id IN (SELECT held.series FROM research.series_fact AS held WHERE held.path = {path} AND held.fact IN"  # noqa: S608
            f" (SELECT fact.id FROM research.fact WHERE fact.path = {path} AND {fact}))"
        )
        if [test for test, _ in tests] == ["present"]:
            base = f"s.id IN (SELECT held.series FROM research.series_fact AS held WHERE held.path = {path})"  # noqa: S608
        self.columns.append(_FALSE if own else (base, values))
        self.columns.append(_own_uid(*tests[0]) if own else (f"{path} = ANY (s.mixed)", []))
        entry, values = all_or_any(joined, [ENTRIES[test](Entry(path), operand) for test, operand in tests])
        if not own:
            entry = f"CASE WHEN v.x{at} AND i.delta ? '{path}' THEN {entry} ELSE v.b{at} END"
        return f"(v.b{at} AND NOT v.x{at})", f"(v.b{at} OR v.x{at})", (entry, values)


def _test_of(condition: Condition) -> Test:
    operator = OPERATORS[condition.operator]
    return operator.test, operator.operand(condition.operands)


def _negated(answer: tuple[str, str, Fragment]) -> tuple[str, str, Fragment]:
    must, may, (instance, values) = answer
    return f"(NOT {may})", f"(NOT {must})", (f"(NOT {instance})", values)


def _own_uid(test: str, operand: Operand) -> Fragment:
    """Tell which series may hold an instance whose own UID satisfies a test; the index of UIDs knows for equality."""
    plain, wild = patterns(operand) if test == "equal" else ([], [""])
    if wild:
        return "true", []
    return (
        "s.id IN (SELECT series FROM research.instance WHERE delta -> '1' ->> 0 = ANY (%s)"  # noqa: S608
        f" UNION ALL SELECT series FROM research.instance WHERE delta ? '{ODD}')",
        [plain],
    )
