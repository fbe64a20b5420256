"""The kinds of values that a configuration file holds: each reads a node, reports what is wrong, writes its schema.

A kind's ``read(node, report)`` returns the value, or :data:`INVALID` after reporting why there is none; it goes on
to the end, so one pass finds every problem of a file. ``schema()`` is the JSON Schema (draft 2020-12) of the same.
Here are single values and lists; those that have keys are in :mod:`common.yaml_records`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from common.errors import QueryError
from common.tags import nearest
from common.yaml_file import Items, Keyed, Node, Report, Scalar

Schema = dict[str, Any]


class _Invalid:
    """The value of a node that does not fit; false, so that ``if value`` skips it."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "INVALID"


INVALID = _Invalid()


class Kind(Protocol):
    """What a value may be."""

    @property
    def expected(self) -> str:
        """Words for what is accepted: ``text``, ``a whole number``."""

    def read(self, node: Node, report: Report) -> Any:
        """Return the value of a node, or :data:`INVALID` after reporting."""

    def schema(self) -> Schema:
        """Return the JSON Schema of what is accepted."""


def found(node: Node) -> str:
    """Say what a node is, for 'expected …, found …'; never its text."""
    if isinstance(node, Items):
        return "a list"
    if isinstance(node, Keyed):
        return "keys and values"
    return "nothing" if isinstance(node, Scalar) and node.null else "a single value"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean X?)`` for the nearest known word, or nothing."""
    near = nearest(word, list(known))
    return f" (did you mean {near}?)" if near else ""


@dataclass(frozen=True)
class Text:
    """Text, taken as written; ``parse`` turns it into a value or raises ``ValueError`` or ``QueryError``."""

    parse: Callable[[str], Any] | None = None
    empty: bool = False
    pattern: str = ""
    expected: str = "text"

    def read(self, node: Node, report: Report) -> Any:
        """Return the text, or what ``parse`` makes of it."""
        if not isinstance(node, Scalar) or node.null:
            report.error(node, f"expected {self.expected}, found {found(node)}")
            return INVALID
        if not node.text and not self.empty:
            report.error(node, f"expected {self.expected}, found an empty text")
            return INVALID
        if self.parse is None:
            return node.text
        try:
            return self.parse(node.text)
        except (ValueError, QueryError) as exc:
            report.refuse(node, exc)
            return INVALID

    def schema(self) -> Schema:
        """Text; digits alone are a number to other readers of YAML, so numbers pass."""
        schema: Schema = {"type": ["string", "number", "boolean"]}
        if not self.empty:
            schema["minLength"] = 1
        if self.pattern:
            schema["pattern"] = self.pattern
        return schema


@dataclass(frozen=True)
class OneOf:
    """One of some words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """The words."""
        return "one of " + ", ".join(self.words)

    def read(self, node: Node, report: Report) -> Any:
        """Return the word."""
        if isinstance(node, Scalar) and node.text in self.words:
            return node.text
        if isinstance(node, Scalar) and not node.null:
            report.error(node, f"expected {self.expected}{did_you_mean(node.text, self.words)}")
        else:
            report.error(node, f"expected {self.expected}, found {found(node)}")
        return INVALID

    def schema(self) -> Schema:
        """Return the words."""
        return {"enum": list(self.words)}


@dataclass(frozen=True)
class Integer:
    """A whole number in a range, both ends included."""

    minimum: int
    maximum: int

    @property
    def expected(self) -> str:
        """The range."""
        return f"a whole number from {self.minimum} to {self.maximum}"

    def read(self, node: Node, report: Report) -> Any:
        """Return the number."""
        value = node.value if isinstance(node, Scalar) else None
        if type(value) is int and self.minimum <= value <= self.maximum:
            return value
        report.error(node, f"expected {self.expected}")
        return INVALID

    def schema(self) -> Schema:
        """Return the range."""
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True)
class Switch:
    """``true`` or ``false``; ``yes`` and ``no`` too, as YAML 1.1 reads them."""

    expected: str = "true or false"

    def read(self, node: Node, report: Report) -> Any:
        """Return the truth value."""
        word = node.text.lower() if isinstance(node, Scalar) and not node.quoted else ""
        if word in {"true", "yes", "on"}:
            return True
        if word in {"false", "no", "off"}:
            return False
        report.error(node, f"expected {self.expected}")
        return INVALID

    def schema(self) -> Schema:
        """Return a truth value."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class ListOf:
    """A list, as a tuple; ``single`` lets one value stand for a list of one."""

    item: Kind
    single: bool = False
    minimum: int = 0
    maximum: int | None = None

    @property
    def expected(self) -> str:
        """The items."""
        return f"{self.item.expected} or a list" if self.single else "a list"

    def read(self, node: Node, report: Report) -> Any:
        """Return a tuple of the items that fit."""
        if isinstance(node, Items):
            if len(node.items) < self.minimum or (self.maximum is not None and len(node.items) > self.maximum):
                report.error(node, f"expected {self._count()} of {self.item.expected}, found {len(node.items)}")
                return INVALID
            values = [self.item.read(item, report) for item in node]
            return tuple(value for value in values if value is not INVALID)
        if self.single:
            value = self.item.read(node, report)
            return INVALID if value is INVALID else (value,)
        report.error(node, f"expected {self.expected}, found {found(node)}")
        return INVALID

    def _count(self) -> str:
        return f"{self.minimum}" if self.minimum == self.maximum else f"at least {self.minimum}"

    def schema(self) -> Schema:
        """Return the list, or the single item."""
        schema: Schema = {"type": "array", "items": self.item.schema()}
        if self.minimum:
            schema["minItems"] = self.minimum
        if self.maximum is not None:
            schema["maxItems"] = self.maximum
        return {"anyOf": [self.item.schema(), schema]} if self.single else schema
