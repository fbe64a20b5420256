"""Matching of attributes (PS3.4 C.2.2.2) as query trees.

The query language knows equality with ``*``, numbers and days. Where DICOM matches what it does not (a single
character, a range of times), the values that the permitted instances hold are looked at, and those that match become a
list of alternatives; so the answer is exact, and the tree is all that a search needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from common.errors import QueryError
from common.query import EVERYTHING, NOTHING, Condition, Node, all_of, any_of
from common.query.texts import fold
from common.tags import TagPath, format_tag_path
from website.dicomweb.attributes import vr_of

MOST_VALUES = 5000
"""More different values than this are not searched for a pattern that the index does not know."""

Distinct = Callable[[TagPath], Sequence[str]]
"""Gives the different values of an attribute in what is permitted, at most one more than :data:`MOST_VALUES`."""

_DATES, _TIMES = ("DA", "DT"), ("TM", "DT")
_NUMBERS = ("IS", "DS", "US", "SS", "UL", "SL", "FL", "FD", "SV", "UV")
_NO_WILDCARDS = ("UI", "AT", "SQ", *_NUMBERS, *_DATES, *_TIMES)
_UNSEARCHED = ("OB", "OW", "OF", "OD", "OL", "OV", "UN", "SQ")
_DAY = re.compile(r"\d{8}")


def match_attribute(path: TagPath, values: Sequence[str], distinct: Distinct) -> Node:
    """Return the tree of one matching key; several values are alternatives.

    Raises
    ------
    QueryError
        A value is not of the attribute's VR, or the attribute is not searched.
    """
    vr = vr_of(path[-1])
    if vr in _UNSEARCHED:
        raise QueryError(f"{format_tag_path(path)} cannot be searched")
    return any_of([_match(path, vr, value, distinct) for value in values])


def _match(path: TagPath, vr: str, value: str, distinct: Distinct) -> Node:
    value = value.strip()
    if value in ("", "*"):
        return EVERYTHING  # universal matching
    if value == '""':
        return any_of([Condition(path, "NotExists"), Condition(path, "Empty")])  # empty value matching
    if vr in _DATES + _TIMES and "-" in value:
        return _range(path, vr, value, distinct)
    if vr == "UI":
        return _uids(path, value)
    if vr in _NUMBERS:
        return _number(path, value)
    if vr == "DA":
        _shift(path, value, 0)
    if vr == "TM":
        return _among(path, distinct, _times(path, value, value))
    if "?" in value and vr not in _NO_WILDCARDS:
        return _among(path, distinct, _pattern(value))
    if "*" in value and vr in _NO_WILDCARDS:
        raise QueryError(f"{format_tag_path(path)} takes no wildcard")
    return Condition(path, "StrEquals", (value,))


def _uids(path: TagPath, value: str) -> Node:
    uids = tuple(each.strip() for each in re.split(r"[,\\]", value) if each.strip())
    if not uids or any(not re.fullmatch(r"[0-9.]{1,64}", uid) for uid in uids):
        raise QueryError(f"{format_tag_path(path)} takes UIDs, separated by commas")
    return Condition(path, "In", uids)


def _number(path: TagPath, value: str) -> Node:
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", value):
        raise QueryError(f"{format_tag_path(path)} takes a number")
    return Condition(path, "NbEquals", (value,))


def _range(path: TagPath, vr: str, value: str, distinct: Distinct) -> Node:
    first, _, last = (part.strip() for part in value.partition("-"))
    if not first and not last:
        raise QueryError(f"{format_tag_path(path)} takes FIRST-LAST, FIRST- or -LAST")
    if vr == "DA":
        return _days(path, first, last)
    if vr == "TM":
        return _among(path, distinct, _times(path, first, last))
    return _among(path, distinct, _moments(path, first, last))


def _days(path: TagPath, first: str, last: str) -> Node:
    """Return the days of a range, both ends included."""
    ends = []
    if first:
        ends.append(Condition(path, "DateAfter", (_shift(path, first, -1),)))
    if last:
        ends.append(Condition(path, "DateBefore", (_shift(path, last, 1),)))
    return all_of(ends)


def _shift(path: TagPath, text: str, days: int) -> str:
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        shifted = date(int(text[:4]), int(text[4:6]), int(text[6:])) + timedelta(days)
    except (ValueError, OverflowError):
        raise QueryError(f"{format_tag_path(path)} takes days as YYYYMMDD") from None
    return f"{shifted:%Y%m%d}".zfill(8)


def _times(path: TagPath, first: str, last: str) -> Callable[[str], bool]:
    """Match times from the earliest to the latest moment that the texts can mean: 10 is from 10:00 to 10:59:59.999."""
    low, high = _bounds(path, first, last, 12)
    return lambda text: bool(text) and low <= _digits(text).ljust(12, "0") <= high


def _moments(path: TagPath, first: str, last: str) -> Callable[[str], bool]:
    low, high = _bounds(path, first, last, 20)
    return lambda text: bool(text) and low <= _digits(re.split("[+-]", text)[0]).ljust(20, "0") <= high


def _bounds(path: TagPath, first: str, last: str, length: int) -> tuple[str, str]:
    if not all(re.fullmatch(r"(\d\d[\d:.]{0,24})?", each) for each in (first, last)):
        raise QueryError(f"{format_tag_path(path)} takes times as HHMMSS, moments as YYYYMMDDHHMMSS")
    return _digits(first).ljust(length, "0"), _digits(last).ljust(length, "9")


def _digits(text: str) -> str:
    """Drop what older and extended forms put between the digits (10:15:30, 101530.5)."""
    return re.sub(r"\D", "", text)


def _pattern(value: str) -> Callable[[str], bool]:
    parts = {"*": ".*", "?": "."}
    expression = re.compile("".join(parts.get(each, re.escape(each)) for each in fold(value)), re.DOTALL)
    return lambda text: expression.fullmatch(fold(text)) is not None


def _among(path: TagPath, distinct: Distinct, matches: Callable[[str], bool]) -> Node:
    values = distinct(path)
    if len(values) > MOST_VALUES:
        raise QueryError(f"{format_tag_path(path)} has too many different values to search by such a pattern")
    # A value that holds an asterisk would be a pattern again; it matches what it matches, and itself.
    found = tuple(value for value in values if matches(value))
    return Condition(path, "In", found) if found else NOTHING
