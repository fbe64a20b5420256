"""The operators: what each takes, how it is said in English, and its meaning on the texts of an element's values.

The meaning is a function of ``values``, the texts of the element's values: ``None`` where the element is absent, an
empty list where it has no value, ``""`` for an empty or binary value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

Values = Sequence[str] | None
Predicate = Callable[[Values], bool]

# What counts as a number: ASCII digits with an optional sign, fraction and exponent; padding is allowed.
NUMBER = re.compile(r"\s*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*")
_DATE_VALUE = re.compile(r"([0-9]{4})\.?([0-9]{2})\.?([0-9]{2})")
_DATE_OPERAND = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})")


def fold(text: str) -> str:
    """Bring a text into the form in which texts are compared: NFC, then case folded; NUL cannot be stored."""
    return unicodedata.normalize("NFC", text).replace("\0", "").casefold()


def parse_number(text: str) -> float | None:
    """Return the number that a value or operand is, or None."""
    match = NUMBER.fullmatch(text)
    if match is None:
        return None
    number = float(match[1])
    return number if number not in (float("inf"), float("-inf")) else None


def parse_date_value(text: str) -> str | None:
    """Return ``YYYYMMDD`` of a DA or DT value (its first eight digits), or None where it does not begin with a date."""
    match = _DATE_VALUE.match(text)
    return _legal_date(match)


def parse_date_operand(text: str) -> str | None:
    """Return ``YYYYMMDD`` of ``2024-01-31`` or ``20240131``, or None."""
    return _legal_date(_DATE_OPERAND.fullmatch(text.strip()))


def _legal_date(match: re.Match[str] | None) -> str | None:
    if match is None:
        return None
    try:
        date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None
    return match[1] + match[2] + match[3]


@lru_cache(4096)
def wildcard(pattern: str) -> re.Pattern[str]:
    """Compile a text with ``*`` for any run of characters, to be matched against folded values."""
    return re.compile(".*".join(re.escape(part) for part in fold(pattern).split("*")), re.DOTALL)


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
    meaning
        Makes the predicate of an operand.
    """

    name: str
    kind: str
    english: str
    meaning: Callable[[tuple[str, ...]], Predicate]


def _numbers(test: Callable[[float, float], bool]) -> Callable[[tuple[str, ...]], Predicate]:
    def make(operands: tuple[str, ...]) -> Predicate:
        operand = parse_number(operands[0]) or 0.0
        return lambda values: any(
            number is not None and test(number, operand) for number in map(parse_number, values or ())
        )

    return make


def _dates(test: Callable[[str, str], bool]) -> Callable[[tuple[str, ...]], Predicate]:
    def make(operands: tuple[str, ...]) -> Predicate:
        operand = parse_date_operand(operands[0]) or ""
        return lambda values: any(day is not None and test(day, operand) for day in map(parse_date_value, values or ()))

    return make


def _equals(operands: tuple[str, ...]) -> Predicate:
    patterns = [wildcard(operand) for operand in operands]
    return lambda values: any(pattern.fullmatch(fold(value)) for value in values or () for pattern in patterns)


def _not_equals(operands: tuple[str, ...]) -> Predicate:
    equals = _equals(operands)
    return lambda values: not equals(values)


def _number_not_equals(operands: tuple[str, ...]) -> Predicate:
    operand = parse_number(operands[0])
    return lambda values: all(number is not None and number != operand for number in map(parse_number, values or ()))


def is_empty(values: Values) -> bool:
    """Tell whether an element is present and has no value, or an empty (or binary) one."""
    return values is not None and (not values or any(not value.strip(" \0") for value in values))


_ALL = (
    Operator("Exists", "none", "{tag} is present", lambda _: lambda values: values is not None),
    Operator("NotExists", "none", "{tag} is absent", lambda _: lambda values: values is None),
    Operator("Empty", "none", "{tag} is empty", lambda _: is_empty),
    Operator("NotEmpty", "none", "{tag} is not empty", lambda _: lambda values: not is_empty(values)),
    Operator("StrEquals", "text", "{tag} is {value}", _equals),
    Operator("StrNotEquals", "text", "{tag} is not {value}", _not_equals),
    Operator("NbEquals", "number", "{tag} equals {value}", _numbers(lambda a, b: a == b)),
    Operator("NbNotEquals", "number", "{tag} does not equal {value}", _number_not_equals),
    Operator("NbGreater", "number", "{tag} is greater than {value}", _numbers(lambda a, b: a > b)),
    Operator("NbLess", "number", "{tag} is less than {value}", _numbers(lambda a, b: a < b)),
    Operator("NbGreaterOrEquals", "number", "{tag} is at least {value}", _numbers(lambda a, b: a >= b)),
    Operator("NbLessOrEquals", "number", "{tag} is at most {value}", _numbers(lambda a, b: a <= b)),
    Operator("DateBefore", "date", "{tag} is before {value}", _dates(lambda a, b: a < b)),
    Operator("DateAfter", "date", "{tag} is after {value}", _dates(lambda a, b: a > b)),
    Operator("In", "list", "{tag} is one of {value}", _equals),
)
OPERATORS = {operator.name: operator for operator in _ALL}
BY_LOWER_CASE = {operator.name.lower(): operator for operator in _ALL}
