"""A query as text: in the language, so that parsing gives the same tree, and in English."""

from __future__ import annotations

import re

from common.query.operators import OPERATORS
from common.query.tree import EVERYTHING, NOTHING, And, Condition, Node, Not, Or
from common.tags import format_tag_path

_PLAIN = re.compile(r'[^\s()",\\]+')


def format_query(node: Node) -> str:
    """Write a query in the language; parsing gives a tree of the same meaning."""
    if node == EVERYTHING:
        return ""
    if node == NOTHING:
        # The language has no word for it: a class of every instance that is absent.
        return "SOPInstanceUID NotExists AND SOPInstanceUID Exists"
    return _format(node)


def _format(node: Node) -> str:
    if isinstance(node, Condition):
        return " ".join([format_tag_path(node.path), node.operator, *_operands(node)])
    if isinstance(node, Not):
        inner = _format(node.part)
        return f"NOT {inner}" if isinstance(node.part, Condition | Not) else f"NOT ({inner})"
    word = " AND " if isinstance(node, And) else " OR "
    return word.join(
        _format(part) if isinstance(part, Condition | Not) else f"({_format(part)})" for part in node.parts
    )


def _operands(node: Condition) -> list[str]:
    quoted = [quote(operand) for operand in node.operands]
    return [f"({', '.join(quoted)})"] if OPERATORS[node.operator].kind == "list" else quoted


def quote(text: str) -> str:
    """Write a value as the language wants it: quoted where it is more than a word."""
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def describe(node: Node) -> str:
    """Say a query in English."""
    if node == EVERYTHING:
        return "everything"
    if node == NOTHING:
        return "nothing"
    if isinstance(node, Condition):
        quoted = [f"“{operand}”" for operand in node.operands]
        value = " or ".join(quoted)
        return OPERATORS[node.operator].english.format(tag=format_tag_path(node.path), value=value)
    if isinstance(node, Not):
        return f"not ({describe(node.part)})"
    word = " and " if isinstance(node, And) else " or "
    return word.join(f"({describe(part)})" if isinstance(part, And | Or) else describe(part) for part in node.parts)
