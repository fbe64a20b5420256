"""What could stand at the cursor of the query box: tags, operators, values, connectives.

Reads the query up to the cursor as a row of tokens and knows from the last ones what may follow
(doc/reference/query-language.md); the values come from the index and hold only what the user may see.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from common.query.operators import BY_LOWER_CASE, OPERATORS
from common.query.write import quote

_NOTES = {"none": "", "text": "text, * for any run", "number": "a number", "date": "2024-01-31", "list": "(a, b, c)"}
_CONNECTIVES = (("AND", "and also"), ("OR", "or else"))
_TOKEN = re.compile(r'\s+|[(),]|"(?:[^"\\]|\\.)*"?|[^\s(),"]+')
_LIMIT = 12


@dataclass(frozen=True)
class Suggestion:
    """One thing that may stand at the cursor: what is shown, what is inserted, a note beside it."""

    text: str
    insert: str
    note: str = ""


@dataclass(frozen=True)
class Completion:
    """What may replace the characters ``start`` to ``end`` of the query."""

    start: int
    end: int
    suggestions: tuple[Suggestion, ...]


@dataclass
class _Reader:
    """Where the query stands after some tokens."""

    expects: str = "tag"  # tag, operator, value, connective
    tag: str = ""
    listing: bool = False

    def read(self, word: str) -> None:
        lowered = word.lower()
        if self.listing:
            self.listing = word != ")"
            self.expects = "value" if self.listing else "connective"
        elif self.expects == "value":
            if word == "(":  # only In has one
                self.listing = True
            else:
                self.expects = "connective"
        elif word == "(" or lowered in {"and", "or", "not"}:
            self.expects = "tag"
        elif word == ")":
            self.expects = "connective"
        elif self.expects == "tag":
            self.tag, self.expects = word, "operator"
        elif self.expects == "operator":
            known = BY_LOWER_CASE.get(lowered)
            self.expects = "connective" if known and known.kind == "none" else "value"


def complete(
    query: str,
    cursor: int,
    tags: Callable[[str], Iterable[tuple[str, str]]],
    values: Callable[[str, str], Iterable[tuple[str, int]]],
) -> Completion:
    """Suggest what may stand at the cursor.

    Parameters
    ----------
    query, cursor
        The text and a position in it, in characters from 0.
    tags
        Gives tags and notes for a prefix.
    values
        Gives values and how often they occur, for a tag and a prefix.
    """
    cursor = max(0, min(cursor, len(query)))
    tokens = [(match.start(), match.group()) for match in _TOKEN.finditer(query[:cursor])]
    start, word = cursor, ""
    if tokens and not tokens[-1][1].isspace() and tokens[-1][1] not in "(),":
        start, word = tokens.pop()
    reader = _Reader()
    for _, token in tokens:
        if not token.isspace():
            reader.read(token)
    found = _suggest(reader, word, tags, values)
    return Completion(start, cursor, tuple(found)[:_LIMIT])


def _suggest(
    reader: _Reader,
    word: str,
    tags: Callable[[str], Iterable[tuple[str, str]]],
    values: Callable[[str, str], Iterable[tuple[str, int]]],
) -> Iterable[Suggestion]:
    if reader.expects == "tag":
        return (Suggestion(tag, tag, note) for tag, note in tags(word))
    if reader.expects == "operator":
        begins = [name for name in OPERATORS if name.lower().startswith(word.lower())]
        inside = [name for name in OPERATORS if word.lower() in name.lower() and name not in begins]
        return (Suggestion(name, name, _NOTES[OPERATORS[name].kind]) for name in begins + inside)
    if reader.expects == "value":
        found = values(reader.tag, word.strip('"').replace('\\"', '"'))
        return (Suggestion(value, quote(value), f"{count:,}") for value, count in found if value)
    return (Suggestion(name, name, note) for name, note in _CONNECTIVES if name.startswith(word.upper()))
