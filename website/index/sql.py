"""The meaning of a query in SQL.

A query is decided in two steps. For every series each test of the query gives two answers: ``b``, whether the base of
the series satisfies it, and ``x``, whether some instance may differ from the base at its path. From them follow, for
each series, whether all of its instances *must* match and whether any *may*. Only the instances of series that may but
need not match are looked at one by one. Values are parameters, always; the text of a statement is made of numbers of
paths and of the fragments below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from common.query import And, Condition, Node, Not
from common.query.operators import OPERATORS, Operand
from common.query.texts import clean, fold
from website.index.document import format_path
from website.index.forms import META_UID, ODD, PLAIN_NUMBER, UID

Fragment = tuple[str, list[Any]]
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
        musts, mays = _joined(joined, none, [a[0] for a in answers]), _joined(joined, none, [a[1] for a in answers])
        texts = _joined(joined, none, [a[2][0] for a in answers])
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
        fact, values = _all_or_any(joined, [_FACTS[test](operand) for test, operand in tests])
        base = (
            f"s.id IN (SELECT held.series FROM research.series_fact AS held WHERE held.path = {path} AND held.fact IN"  # noqa: S608
            f" (SELECT fact.id FROM research.fact WHERE fact.path = {path} AND {fact}))"
        )
        if [test for test, _ in tests] == ["present"]:
            base = f"s.id IN (SELECT held.series FROM research.series_fact AS held WHERE held.path = {path})"  # noqa: S608
        self.columns.append(_FALSE if own else (base, values))
        self.columns.append(_own_uid(*tests[0]) if own else (f"{path} = ANY (s.mixed)", []))
        entry, values = _all_or_any(joined, [_ENTRIES[test](_Entry(path), operand) for test, operand in tests])
        if not own:
            entry = f"CASE WHEN v.x{at} AND i.delta ? '{path}' THEN {entry} ELSE v.b{at} END"
        return f"(v.b{at} AND NOT v.x{at})", f"(v.b{at} OR v.x{at})", (entry, values)


def _test_of(condition: Condition) -> Test:
    operator = OPERATORS[condition.operator]
    return operator.test, operator.operand(condition.operands)


def _negated(answer: tuple[str, str, Fragment]) -> tuple[str, str, Fragment]:
    must, may, (instance, values) = answer
    return f"(NOT {may})", f"(NOT {must})", (f"(NOT {instance})", values)


def _joined(word: str, none: str, parts: list[str]) -> str:
    return f"({f' {word} '.join(parts)})" if parts else none


def _all_or_any(word: str, tests: list[Fragment]) -> Fragment:
    none = "true" if word == "AND" else "false"
    return _joined(word, none, [text for text, _ in tests]), [value for _, values in tests for value in values]


def _own_uid(test: str, operand: Operand) -> Fragment:
    """Tell which series may hold an instance whose own UID satisfies a test; the index of UIDs knows for equality."""
    plain, wild = _patterns(operand) if test == "equal" else ([], [""])
    if wild:
        return "true", []
    return (
        "s.id IN (SELECT series FROM research.instance WHERE delta -> '1' ->> 0 = ANY (%s)"  # noqa: S608
        f" UNION ALL SELECT series FROM research.instance WHERE delta ? '{ODD}')",
        [plain],
    )


def _patterns(operand: Operand) -> tuple[list[str], list[str]]:
    """Return the folded texts that stand for themselves, and those with wildcards as patterns of LIKE."""
    if not isinstance(operand, tuple):
        raise TypeError("compared with patterns")
    folded = [fold(clean(pattern)) for pattern in operand]
    return [text for text in folded if "*" not in text], [like_pattern(text) for text in folded if "*" in text]


def like_pattern(pattern: str) -> str:
    """Return a folded text with ``*`` as a pattern of LIKE."""
    for special in "\\%_":
        pattern = pattern.replace(special, "\\" + special)
    return pattern.replace("*", "%")


# The tests of a fact: of the dictionary's columns, where the element is present.


def _fact_equal(operand: Operand) -> Fragment:
    plain, wild = _patterns(operand)
    tests: list[Fragment] = []
    if plain:
        tests.append(("coalesce(fact.folded, fact.texts) && %s::text[]", [plain]))
    if wild:
        some = "EXISTS (SELECT FROM unnest(coalesce(fact.folded, fact.texts)) AS text WHERE text LIKE ANY (%s))"
        tests.append((some, [wild]))
    return _any(tests)


def _any(tests: list[Fragment]) -> Fragment:
    return _all_or_any("OR", tests)


def _fact_clash(operand: Operand) -> Fragment:
    clash = "(fact.numbers IS NULL OR array_position(fact.numbers, NULL) IS NOT NULL OR %s = ANY (fact.numbers))"
    return f"(cardinality(fact.texts) > 0 AND {clash})", [operand]


def _fact_compares(column: str, sign: str) -> Callable[[Operand], Fragment]:
    return lambda operand: (f"%s {_MIRRORED[sign]} ANY (fact.{column})", [operand])


_SIGNS = ("=", ">", "<", ">=", "<=")
_MIRRORED = {"=": "=", ">": "<", "<": ">", ">=": "<=", "<=": ">="}
_FACTS: dict[str, Callable[[Operand], Fragment]] = {
    "present": lambda operand: ("true", []),
    "empty": lambda operand: ("(cardinality(fact.texts) = 0 OR '' = ANY (fact.texts))", []),
    "equal": _fact_equal,
    "number clash": _fact_clash,
    **{f"number {sign}": _fact_compares("numbers", sign) for sign in _SIGNS},
    **{f"date {sign}": _fact_compares("days", sign) for sign in "<>"},
}

# The same tests of what an instance's delta says of a path.


class _Entry:
    """Where a path's texts stand in a delta; those of MediaStorageSOPInstanceUID usually with SOPInstanceUID."""

    def __init__(self, path: int) -> None:
        self.path = path
        self.texts = self._key("")
        self.folded = f"coalesce({self._key('f')}, {self.texts})"
        self.numbers, self.days = self._key("n"), self._key("d")
        if path == META_UID:
            # A folded, numeric or dated form belongs to the texts that it was made of, never to the other UID's.
            self.folded = self._either(f"coalesce({self._at('f', UID)}, {self._at('', UID)})", self.folded)
            self.numbers = self._either(self._at("n", UID), self.numbers)
            self.days = self._either(self._at("d", UID), self.days)
            self.texts = self._either(self._at("", UID), self.texts)

    @staticmethod
    def _at(prefix: str, path: int) -> str:
        return f"(i.delta -> '{prefix}{path}')"

    def _key(self, prefix: str) -> str:
        return self._at(prefix, self.path)

    def _either(self, first: str, own: str) -> str:
        return f"(CASE WHEN i.delta ? '{META_UID}' THEN {own} ELSE {first} END)"


def _elements(array: str) -> str:
    # Lax, so that the null of an absent element is one element, null, and no error.
    return f"jsonb_path_query({array}, '$[*]') AS element"


def _entry_equal(entry: _Entry, operand: Operand) -> Fragment:
    plain, wild = _patterns(operand)
    tests: list[Fragment] = []
    if plain:
        tests.append((f"{entry.folded} ?| %s", [plain]))
    if wild:
        some = f"EXISTS (SELECT FROM {_elements(entry.folded)} WHERE element #>> '{{}}' LIKE ANY (%s))"
        tests.append((some, [wild]))
    return _any(tests)


_TEXT = "(element #>> '{}')"
_PLAIN = f"{_TEXT} ~ '^{PLAIN_NUMBER.pattern}$'"


def _entry_compares(sign: str) -> Callable[[_Entry, Operand], Fragment]:
    def make(entry: _Entry, operand: Operand) -> Fragment:
        stored = f"CASE WHEN jsonb_typeof(element) = 'number' THEN element::float8 {sign} %s ELSE false END"
        read = f"CASE WHEN {_PLAIN} THEN {_TEXT}::float8 {sign} %s ELSE false END"
        # One plain number is the rule. A pattern that captures nothing costs a third of one that does.
        only = f"({entry.texts} ->> 0)"
        return (
            f"CASE WHEN ({entry.texts} -> 1) IS NULL AND {only} ~ '^{PLAIN_NUMBER.pattern}$'"  # noqa: S608
            f" THEN {only}::float8 {sign} %s"
            f" WHEN {entry.numbers} IS NOT NULL"
            f" THEN EXISTS (SELECT FROM {_elements(entry.numbers)} WHERE {stored})"
            f" ELSE EXISTS (SELECT FROM {_elements(entry.texts)} WHERE {read}) END",
            [operand, operand, operand],
        )

    return make


def _entry_clash(entry: _Entry, operand: Operand) -> Fragment:
    stored = "CASE WHEN jsonb_typeof(element) = 'number' THEN element::float8 = %s ELSE true END"
    read = f"CASE WHEN {_PLAIN} THEN {_TEXT}::float8 = %s ELSE true END"
    return (
        f"(CASE WHEN jsonb_typeof({entry.texts}) = 'null' THEN false"  # noqa: S608
        f" WHEN {entry.numbers} IS NULL THEN EXISTS (SELECT FROM {_elements(entry.texts)} WHERE {read})"
        f" ELSE EXISTS (SELECT FROM {_elements(entry.numbers)} WHERE {stored}) END)",
        [operand, operand],
    )


def _entry_dates(sign: str) -> Callable[[_Entry, Operand], Fragment]:
    day = f"CASE WHEN jsonb_typeof(element) = 'number' THEN element::integer {sign} %s ELSE false END"
    return lambda entry, operand: (f"EXISTS (SELECT FROM {_elements(entry.days)} WHERE {day})", [operand])


_ENTRIES: dict[str, Callable[[_Entry, Operand], Fragment]] = {
    "present": lambda entry, operand: (f"(jsonb_typeof({entry.texts}) = 'array')", []),
    "empty": lambda entry, operand: (f"({entry.texts} = '[]' OR {entry.texts} ? '')", []),
    "equal": _entry_equal,
    "number clash": _entry_clash,
    **{f"number {sign}": _entry_compares(sign) for sign in _SIGNS},
    **{f"date {sign}": _entry_dates(sign) for sign in "<>"},
}
