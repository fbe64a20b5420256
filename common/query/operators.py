"""The operators: what each takes, how it is said in English, and its meaning on the texts of an element's values.

Every operator is a *test* of the texts of an element that is present, or the negation of one. A test is false on an
absent element; so ``StrNotEquals`` is exactly ``NOT StrEquals``, absent included. The index translates the tests
(``website/index/sql.py``), so an operator is a row here and nothing else anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common.query.texts import clean, date_of, equals, number_of, parse_date_operand, parse_number

Values = Sequence[str] | None
Predicate = Callable[[Values], bool]
Operand = float | int | tuple[str, ...] | None
"""What a test compares with: a number, a day ``yyyymmdd``, patterns, or nothing."""
Test = Callable[[Sequence[str], Operand], bool]


@dataclass(frozen=True)
class Operator:
    """One operator of the language.

    Attributes
    ----------
    name
        As it is written; case does not matter.
    kind
        What its operand is: ``none``, ``text``, ``number``, ``date`` or ``list``.
    english
        Of a condition, with ``{tag}`` and ``{value}``.
    test
        Name of the test in :data:`TESTS`.
    negated
        True when the operator holds where the test does not.
    """

    name: str
    kind: str
    english: str
    test: str
    negated: bool = False

    def operand(self, operands: tuple[str, ...]) -> Operand:
        """Return what the test compares with; raises ``ValueError`` where an operand is not of the kind."""
        if self.kind == "none":
            return None
        if self.kind in ("text", "list"):
            return tuple(map(clean, operands))
        value = (parse_number if self.kind == "number" else parse_date_operand)(operands[0])
        if value is None:
            raise ValueError(f"{self.name} takes a {self.kind}")
        return value

    def meaning(self, operands: tuple[str, ...]) -> Predicate:
        """Make the predicate of some operands: a function of an element's texts, None where it is absent."""
        operand, test, negated = self.operand(operands), TESTS[self.test], self.negated

        def predicate(values: Values) -> bool:
            return (values is not None and test([clean(value) for value in values], operand)) is not negated

        return predicate


def _numbers(compare: Callable[[float, float], bool]) -> Test:
    def test(texts: Sequence[str], operand: Operand) -> bool:
        if not isinstance(operand, int | float):
            raise TypeError("compared with a number")
        return any(number is not None and compare(number, operand) for number in map(number_of, texts))

    return test


def _dates(compare: Callable[[int, float], bool]) -> Test:
    def test(texts: Sequence[str], operand: Operand) -> bool:
        if not isinstance(operand, int):
            raise TypeError("compared with a day")
        return any(day is not None and compare(day, operand) for day in map(date_of, texts))

    return test


def _equal(texts: Sequence[str], operand: Operand) -> bool:
    if not isinstance(operand, tuple):
        raise TypeError("compared with patterns")
    return any(equals(text, pattern) for text in texts for pattern in operand)


def _clash(texts: Sequence[str], operand: Operand) -> bool:
    """Tell whether a value is no number, or equals: what ``NbNotEquals`` rules out."""
    return any(number is None or number == operand for number in map(number_of, texts))


TESTS: dict[str, Test] = {
    "present": lambda texts, operand: True,
    "empty": lambda texts, operand: not texts or "" in texts,
    "equal": _equal,
    "number =": _numbers(lambda a, b: a == b),
    "number clash": _clash,
    "number >": _numbers(lambda a, b: a > b),
    "number <": _numbers(lambda a, b: a < b),
    "number >=": _numbers(lambda a, b: a >= b),
    "number <=": _numbers(lambda a, b: a <= b),
    "date <": _dates(lambda a, b: a < b),
    "date >": _dates(lambda a, b: a > b),
}

_ALL = (
    Operator("Exists", "none", "{tag} is present", "present"),
    Operator("NotExists", "none", "{tag} is absent", "present", negated=True),
    Operator("Empty", "none", "{tag} is empty", "empty"),
    Operator("NotEmpty", "none", "{tag} is not empty", "empty", negated=True),
    Operator("StrEquals", "text", "{tag} is {value}", "equal"),
    Operator("StrNotEquals", "text", "{tag} is not {value}", "equal", negated=True),
    Operator("NbEquals", "number", "{tag} equals {value}", "number ="),
    Operator("NbNotEquals", "number", "{tag} does not equal {value}", "number clash", negated=True),
    Operator("NbGreater", "number", "{tag} is greater than {value}", "number >"),
    Operator("NbLess", "number", "{tag} is less than {value}", "number <"),
    Operator("NbGreaterOrEquals", "number", "{tag} is at least {value}", "number >="),
    Operator("NbLessOrEquals", "number", "{tag} is at most {value}", "number <="),
    Operator("DateBefore", "date", "{tag} is before {value}", "date <"),
    Operator("DateAfter", "date", "{tag} is after {value}", "date >"),
    Operator("In", "list", "{tag} is one of {value}", "equal"),
)
OPERATORS = {operator.name: operator for operator in _ALL}
BY_LOWER_CASE = {operator.name.lower(): operator for operator in _ALL}
