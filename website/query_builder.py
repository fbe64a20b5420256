"""Queries written by choosing: the builder and the facets make the same text that a user would type."""

from __future__ import annotations

from common.query import EVERYTHING, And, Node, Or, format_query, parse
from common.query.operators import OPERATORS
from common.query.write import quote


def add_condition(query: str, tag: str, operator: str, value: str, *, join: str = "AND") -> str:
    """Return a query with one more condition, joined by AND or OR.

    Raises
    ------
    QueryError
        The query or the new condition does not parse.
    """
    condition = parse(_write(tag, operator, value))
    return format_query(_join(parse(query), condition, join))


def _join(node: Node, condition: Node, join: str) -> Node:
    kind: type[And] | type[Or] = Or if join.upper() == "OR" else And
    if node == EVERYTHING:
        return condition
    parts = node.parts if isinstance(node, kind) else (node,)
    return node if condition in parts else kind((*parts, condition))


def _write(tag: str, operator: str, value: str) -> str:
    """Write one condition; the value is quoted, so that it stays one value whatever it holds."""
    kind = OPERATORS[operator].kind if operator in OPERATORS else "text"
    if kind == "none":
        return f"{tag} {operator}"
    if kind == "list":
        return f"{tag} {operator} ({', '.join(quote(each.strip()) for each in value.strip('()').split(','))})"
    return f"{tag} {operator} {quote(value)}"
