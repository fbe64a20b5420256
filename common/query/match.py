"""The meaning of a query in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from common.query.operators import OPERATORS
from common.query.tree import And, Condition, Node, Not, Or
from common.tags import TagPath


class Source(Protocol):
    """Anything that knows the texts of its elements' values: a scanned file, a data set, an index document."""

    def values(self, path: TagPath) -> Sequence[str] | None:
        """Return the texts of an element's values, over all items.

        None where it is absent, ``[]`` where it is present without a value, ``[""]`` where it is binary; of a sequence
        one text for each item.
        """


def match(node: Node, source: Source) -> bool:
    """Tell whether a query matches."""
    return compile_match(node)(source)


def compile_match(node: Node) -> Callable[[Source], bool]:
    """Make a predicate of a query, for many sources."""
    if isinstance(node, Condition):
        predicate = OPERATORS[node.operator].meaning(node.operands)
        path = node.path
        return lambda source: predicate(source.values(path))
    if isinstance(node, Not):
        inner = compile_match(node.part)
        return lambda source: not inner(source)
    parts = [compile_match(part) for part in node.parts]
    if isinstance(node, And):
        return lambda source: all(part(source) for part in parts)
    if isinstance(node, Or):
        return lambda source: any(part(source) for part in parts)
    raise TypeError(type(node).__name__)
