"""How a text is read by an operator: folded for comparison, as a number, as a date, by a wildcard.

Both meanings of a query rest on these functions: :mod:`common.query.match` calls them on the spot, the index calls
them when a document is added and stores the results. So neither knows a rule of its own.
"""

from __future__ import annotations

import datetime
import math
import re
import unicodedata
from functools import lru_cache

_NUMBER = re.compile(r" *([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?) *")
# DA, DT of at least a day (PS3.5 6.2), and the dates with dots of ACR-NEMA that PS3.5 lets readers accept.
_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:[0-9]{2,6}(?:\.[0-9]{1,6})?)?(?:[+-][0-9]{4})? *")
_OLD_DATE = re.compile(r"([0-9]{4})\.([0-9]{2})\.([0-9]{2}) *")
_WRITTEN_DATE = re.compile(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})")


def clean(text: str) -> str:
    """Remove NUL characters and replace lone surrogates: PostgreSQL stores neither, so no meaning has them."""
    if text.isascii():
        return text.replace("\0", "") if "\0" in text else text
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def fold(text: str) -> str:
    """Return the form of a text in which comparison ignores case: NFC, then ``str.casefold``."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", text).casefold()


def parse_number(text: str) -> float | None:
    """Return the finite decimal number that a text is, else None."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    number = float(found[1])
    return number if math.isfinite(number) else None


number_of = parse_number
"""A value is read as an operand is."""


def date_of(text: str) -> int | None:
    """Return the day of a DA or DT text as the integer ``yyyymmdd``, None where it is no date of the calendar."""
    found = _DATE.fullmatch(text) or _OLD_DATE.fullmatch(text)
    return _day(found[1], found[2], found[3]) if found else None


def parse_date_operand(text: str) -> int | None:
    """Return the day that a query names, ``2024-01-31`` or ``20240131``, as ``yyyymmdd``, else None."""
    found = _WRITTEN_DATE.fullmatch(text.strip())
    return _day(found[1], found[3], found[4]) if found else None


def _day(year: str, month: str, day: str) -> int | None:
    try:
        datetime.date(int(year), int(month), int(day))
    except ValueError:
        return None
    return int(year + month + day)


@lru_cache(maxsize=1024)
def _pieces(pattern: str) -> tuple[str, ...]:
    return tuple(fold(clean(pattern)).split("*"))


def equals(text: str, pattern: str) -> bool:
    """Tell whether a text equals a pattern, ignoring case; ``*`` stands for any run of characters.

    Takes time proportional to the text for each piece, whatever the pattern.
    """
    pieces, folded = _pieces(pattern), fold(text)
    if len(pieces) == 1:
        return folded == pieces[0]
    first, last = pieces[0], pieces[-1]
    if len(folded) < len(first) + len(last) or not (folded.startswith(first) and folded.endswith(last)):
        return False
    at, end = len(first), len(folded) - len(last)
    for piece in pieces[1:-1]:
        found = folded.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
