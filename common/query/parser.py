r"""The grammar of the query language, a function for each rule.

::

    query     := [or] end
    or        := and ("OR" and)*
    and       := not ("AND" not)*
    not       := "NOT" not | "(" or ")" | condition
    condition := path operator [value]
    value     := word | quoted | "(" value ("," value)* ")"      the list for In alone
    quoted    := '"' (any character but " and \ | \" | \\)* '"'

``AND``, ``OR``, ``NOT`` and the operators are written in any case. Every error names the place, what was expected, and
the nearest known word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from common.errors import QueryError
from common.query.operators import BY_LOWER_CASE, OPERATORS, Operator
from common.query.texts import parse_date_operand, parse_number
from common.query.tree import EVERYTHING, And, Condition, Node, Not, Or
from common.tags import nearest, parse_tag_path

MAX_CHARACTERS = 20_000
MAX_DEPTH = 50
MAX_CONDITIONS = 500
_TOKEN = re.compile(
    r"""\s*(?:(?P<open>\()|(?P<close>\))|(?P<comma>,)|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<word>[^\s()",]+))""", re.DOTALL
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


def parse(text: str) -> Node:
    """Parse a query; the empty one matches everything.

    Raises
    ------
    QueryError
        Names the position, what was expected, and the nearest keyword or operator.
    """
    if len(text) > MAX_CHARACTERS:
        raise QueryError(f"a query has at most {MAX_CHARACTERS} characters", MAX_CHARACTERS)
    parser = _Parser(_tokens(text))
    if parser.peek().kind == "end":
        return EVERYTHING
    node = parser.parse_or(0)
    if parser.peek().kind != "end":
        raise _expected("AND, OR or the end", parser.peek())
    return node


def _tokens(text: str) -> list[_Token]:
    tokens, position = [], 0
    while rest := text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            start = len(text) - len(text[position:].lstrip())
            kind = 'a closing " is missing' if rest.startswith('"') else "this character cannot stand here"
            raise QueryError(kind, start)
        kind = match.lastgroup or ""
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        position = match.end()
    return [*tokens, _Token("end", "", len(text))]


def _expected(what: str, token: _Token) -> QueryError:
    found = "the end" if token.kind == "end" else token.text[:40]
    return QueryError(f"expected {what}, not {found}", token.position)


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._conditions = 0

    def peek(self) -> _Token:
        return self._tokens[self._next]

    def take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += token.kind != "end"
        return token

    def take_word(self, word: str) -> bool:
        token = self.peek()
        if token.kind == "word" and token.text.upper() == word:
            self.take()
            return True
        return False

    def parse_or(self, depth: int) -> Node:
        parts = [self.parse_and(depth)]
        while self.take_word("OR"):
            parts.append(self.parse_and(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def parse_and(self, depth: int) -> Node:
        parts = [self.parse_not(depth)]
        while self.take_word("AND"):
            parts.append(self.parse_not(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def parse_not(self, depth: int) -> Node:
        token = self.peek()
        if depth > MAX_DEPTH:
            raise QueryError(f"parentheses and NOT may be nested {MAX_DEPTH} deep", token.position)
        if token.kind == "word" and token.text.upper() == "NOT":
            self.take()
            return Not(self.parse_not(depth + 1))
        if token.kind == "open":
            self.take()
            node = self.parse_or(depth + 1)
            if self.peek().kind != "close":
                raise _expected("AND, OR or )", self.peek())
            self.take()
            return node
        return self.parse_condition()

    def parse_condition(self) -> Node:
        token = self.take()
        if token.kind != "word" or token.text.upper() in {"AND", "OR"}:
            raise _expected("a keyword, a tag, NOT or (", token)
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise QueryError(f"a query has at most {MAX_CONDITIONS} conditions", token.position)
        try:
            path = parse_tag_path(token.text)
        except ValueError as exc:
            raise QueryError(str(exc), token.position) from None
        operator = self.parse_operator()
        return Condition(path, operator.name, self.parse_operands(operator))

    def parse_operator(self) -> Operator:
        token = self.take()
        if token.kind != "word":
            raise _expected("an operator", token)
        operator = BY_LOWER_CASE.get(token.text.lower())
        if operator is None:
            near = nearest(token.text, list(OPERATORS))
            hint = f", did you mean {near}?" if near else f", expected one of {', '.join(OPERATORS)}"
            raise QueryError(f"{token.text[:40]}: no such operator{hint}", token.position)
        return operator

    def parse_operands(self, operator: Operator) -> tuple[str, ...]:
        if operator.kind == "none":
            return ()
        if operator.kind == "list":
            return self.parse_list()
        return (self.parse_value(operator),)

    def parse_list(self) -> tuple[str, ...]:
        if self.peek().kind != "open":
            raise _expected("a list in parentheses, like (CT, MR)", self.peek())
        self.take()
        values = [self.parse_value(OPERATORS["In"])]
        while self.peek().kind == "comma":
            self.take()
            values.append(self.parse_value(OPERATORS["In"]))
        if self.peek().kind != "close":
            raise _expected(", or )", self.peek())
        self.take()
        return tuple(values)

    def parse_value(self, operator: Operator) -> str:
        token = self.take()
        if token.kind == "quoted":
            text = re.sub(r'\\(["\\])', r"\1", token.text[1:-1])
        elif token.kind == "word":
            # A comma separates values in a list alone; elsewhere it is part of a word.
            text = token.text + ("" if operator.kind == "list" else self._rest_of_word(token))
        else:
            raise _expected("a value", token)
        if operator.kind == "number" and parse_number(text) is None:
            raise QueryError("expected a number, like 500 or -0.5", token.position)
        if operator.kind == "date" and parse_date_operand(text) is None:
            raise QueryError("expected a date, like 2024-01-31 or 20240131", token.position)
        return text

    def _rest_of_word(self, token: _Token) -> str:
        rest, end = "", token.position + len(token.text)
        while self.peek().kind in ("comma", "word") and self.peek().position == end:
            following = self.take()
            rest += following.text
            end += len(following.text)
        return rest
