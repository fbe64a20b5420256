"""The tests of a query in SQL: of a fact of the dictionary, and of what an instance's delta says of a path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.query.operators import Operand
from common.query.texts import clean, fold
from website.index.forms import META_UID, PLAIN_NUMBER, UID

Fragment = tuple[str, list[Any]]
"""A piece of SQL and its parameters, in order."""


def join(word: str, none: str, parts: list[str]) -> str:
    """Join conditions with AND or OR; ``none`` is what no conditions are."""
    return f"({f' {word} '.join(parts)})" if parts else none


def all_or_any(word: str, tests: list[Fragment]) -> Fragment:
    """Return that all fragments hold (AND), or that any does (OR)."""
    none = "true" if word == "AND" else "false"
    return join(word, none, [text for text, _ in tests]), [value for _, values in tests for value in values]


def patterns(operand: Operand) -> tuple[list[str], list[str]]:
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
    plain, wild = patterns(operand)
    tests: list[Fragment] = []
    if plain:
        tests.append(("coalesce(fact.folded, fact.texts) && %s::text[]", [plain]))
    if wild:
        some = "EXISTS (SELECT FROM unnest(coalesce(fact.folded, fact.texts)) AS text WHERE text LIKE ANY (%s))"
        tests.append((some, [wild]))
    return _any(tests)


def _any(tests: list[Fragment]) -> Fragment:
    return all_or_any("OR", tests)


def _fact_clash(operand: Operand) -> Fragment:
    clash = "(fact.numbers IS NULL OR array_position(fact.numbers, NULL) IS NOT NULL OR %s = ANY (fact.numbers))"
    return f"(cardinality(fact.texts) > 0 AND {clash})", [operand]


def _fact_compares(column: str, sign: str) -> Callable[[Operand], Fragment]:
    return lambda operand: (f"%s {_MIRRORED[sign]} ANY (fact.{column})", [operand])


_SIGNS = ("=", ">", "<", ">=", "<=")
_MIRRORED = {"=": "=", ">": "<", "<": ">", ">=": "<=", "<=": ">="}
FACTS: dict[str, Callable[[Operand], Fragment]] = {
    "present": lambda operand: ("true", []),
    "empty": lambda operand: ("(cardinality(fact.texts) = 0 OR '' = ANY (fact.texts))", []),
    "equal": _fact_equal,
    "number clash": _fact_clash,
    **{f"number {sign}": _fact_compares("numbers", sign) for sign in _SIGNS},
    **{f"date {sign}": _fact_compares("days", sign) for sign in "<>"},
}
"""What makes the SQL of each test for a fact; :data:`common.query.operators.OPERATORS` name them."""

# The same tests of what an instance's delta says of a path.


class Entry:
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


def _entry_equal(entry: Entry, operand: Operand) -> Fragment:
    plain, wild = patterns(operand)
    tests: list[Fragment] = []
    if plain:
        tests.append((f"{entry.folded} ?| %s", [plain]))
    if wild:
        some = f"EXISTS (SELECT FROM {_elements(entry.folded)} WHERE element #>> '{{}}' LIKE ANY (%s))"
        tests.append((some, [wild]))
    return _any(tests)


_TEXT = "(element #>> '{}')"
_PLAIN = f"{_TEXT} ~ '^{PLAIN_NUMBER.pattern}$'"


def _entry_compares(sign: str) -> Callable[[Entry, Operand], Fragment]:
    def make(entry: Entry, operand: Operand) -> Fragment:
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


def _entry_clash(entry: Entry, operand: Operand) -> Fragment:
    stored = "CASE WHEN jsonb_typeof(element) = 'number' THEN element::float8 = %s ELSE true END"
    read = f"CASE WHEN {_PLAIN} THEN {_TEXT}::float8 = %s ELSE true END"
    return (
        f"(CASE WHEN jsonb_typeof({entry.texts}) = 'null' THEN false"  # noqa: S608
        f" WHEN {entry.numbers} IS NULL THEN EXISTS (SELECT FROM {_elements(entry.texts)} WHERE {read})"
        f" ELSE EXISTS (SELECT FROM {_elements(entry.numbers)} WHERE {stored}) END)",
        [operand, operand],
    )


def _entry_dates(sign: str) -> Callable[[Entry, Operand], Fragment]:
    day = f"CASE WHEN jsonb_typeof(element) = 'number' THEN element::integer {sign} %s ELSE false END"
    return lambda entry, operand: (f"EXISTS (SELECT FROM {_elements(entry.days)} WHERE {day})", [operand])


ENTRIES: dict[str, Callable[[Entry, Operand], Fragment]] = {
    "present": lambda entry, operand: (f"(jsonb_typeof({entry.texts}) = 'array')", []),
    "empty": lambda entry, operand: (f"({entry.texts} = '[]' OR {entry.texts} ? '')", []),
    "equal": _entry_equal,
    "number clash": _entry_clash,
    **{f"number {sign}": _entry_compares(sign) for sign in _SIGNS},
    **{f"date {sign}": _entry_dates(sign) for sign in "<>"},
}
"""The same for an entry of a delta."""
