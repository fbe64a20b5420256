"""The tree of a query: what the parser makes, and what every meaning of it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from common.tags import TagPath


@dataclass(frozen=True)
class Condition:
    """``Tag Operator [Value]``: operands are texts as typed; unary operators have none, ``In`` has several."""

    path: TagPath
    operator: str
    operands: tuple[str, ...] = ()


@dataclass(frozen=True)
class And:
    """True when every part is; without parts, true."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    """True when some part is; without parts, false."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Not:
    """True when its part is not."""

    part: Node


Node = Condition | And | Or | Not

EVERYTHING = And(())
NOTHING = Or(())


def all_of(nodes: Iterable[Node]) -> Node:
    """Combine queries so that all must hold; none of them means everything."""
    parts: list[Node] = []
    for node in nodes:
        if node == NOTHING:
            return NOTHING
        parts += node.parts if isinstance(node, And) else (node,)
    unique = tuple(dict.fromkeys(parts))
    return unique[0] if len(unique) == 1 else And(unique)


def any_of(nodes: Iterable[Node]) -> Node:
    """Combine queries so that one must hold; none of them means nothing."""
    parts: list[Node] = []
    for node in nodes:
        if node == EVERYTHING:
            return EVERYTHING
        parts += node.parts if isinstance(node, Or) else (node,)
    unique = tuple(dict.fromkeys(parts))
    return unique[0] if len(unique) == 1 else Or(unique)


def conditions(node: Node) -> Iterator[Condition]:
    """Yield the conditions of a tree, left to right."""
    if isinstance(node, Condition):
        yield node
        return
    for part in (node.part,) if isinstance(node, Not) else node.parts:
        yield from conditions(part)
