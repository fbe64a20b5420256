"""The kinds of values that a configuration file holds: each reads a node, reports what is wrong, writes its schema.

A kind's ``read(node, report)`` returns the value, or :data:`INVALID` after reporting why there is none; it goes on
to the end, so one pass finds every problem of a file. ``schema()`` is the JSON Schema (draft 2020-12) of the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Field:
    """A key of a record.

    Parameters
    ----------
    name
        The key.
    kind
        What its value may be.
    mandatory
        The key must be there.
    default
        The value where it is absent.
    help
        One sentence for the manual and the schema.
    spellings
        Older names of the same key: accepted with a warning.
    unavailable
        Refuses the key with this reason.
    """

    name: str
    kind: Kind
    help: str = ""
    mandatory: bool = False
    default: Any = None
    spellings: tuple[str, ...] = ()
    unavailable: str = ""


class Values(dict[str, Any]):
    """The values of a record by key (defaults included), and where they stand."""

    node: Keyed

    def at(self, key: str) -> Node:
        """Return the node of a key's value; the record's own where the key is absent."""
        entry = self.node.entries.get(key)
        return entry[1] if entry else self.node

    def items_at(self, key: str) -> tuple[Node, ...]:
        """Return the nodes of the items of a key's list (or of the single value that stands for it)."""
        if key not in self.node.entries:
            return ()
        node = self.at(key)
        return node.items if isinstance(node, Items) else (node,)


@dataclass(frozen=True)
class Record:
    """A mapping with known keys; any other is refused, naming the nearest known one.

    ``check`` looks at the record as a whole and reports; it runs even where keys were wrong, so it must ask for
    :data:`INVALID`.
    """

    fields: tuple[Field, ...]
    expected: str = "keys and values"
    help: str = ""
    check: Callable[[Values, Report], None] | None = field(default=None, compare=False)

    def read(self, node: Node, report: Report) -> Any:
        """Return :class:`Values`; INVALID where a mandatory key is missing or wrong."""
        if not isinstance(node, Keyed):
            report.error(node, f"expected {self.expected}, found {found(node)}")
            return INVALID
        node = self._known(node, report)
        values = Values()
        values.node = node
        for each in self.fields:
            values[each.name] = self._read_field(each, node, report)
        if self.check is not None:
            self.check(values, report)
        return INVALID if any(values[each.name] is INVALID for each in self.fields if each.mandatory) else values

    def _read_field(self, each: Field, node: Keyed, report: Report) -> Any:
        if each.name in node.entries:
            key, value = node.entries[each.name]
            if each.unavailable:
                report.error(key, f"{each.name}: {each.unavailable}")
                return INVALID
            return each.kind.read(value, report)
        if each.mandatory:
            report.error(node, f"{each.name} is missing")
            return INVALID
        return each.default

    def _known(self, node: Keyed, report: Report) -> Keyed:
        """Return the mapping under the names in use; report unknown keys and older spellings."""
        names = {each.name: each.name for each in self.fields}
        names |= {spelling: each.name for each in self.fields for spelling in each.spellings}
        entries: dict[str, tuple[Scalar, Node]] = {}
        for name, (key, value) in node.entries.items():
            if name not in names:
                report.error(key, f"{name}: unknown key{did_you_mean(name, names)}")
                continue
            if names[name] != name:
                report.warn(key, f"{name} is an older spelling of {names[name]}")
            if names[name] in entries or (names[name] != name and names[name] in node.entries):
                report.error(key, f"{name} and {names[name]} are the same key")
                continue
            entries[names[name]] = (key, value)
        return Keyed(node.line, node.column, entries)

    def schema(self) -> Schema:
        """Return an object without further properties."""
        properties: Schema = {}
        for each in self.fields:
            if each.unavailable:
                continue
            described: Schema = {"description": each.help} if each.help else {}
            properties[each.name] = described | each.kind.schema()
            for spelling in each.spellings:
                properties[spelling] = {"deprecated": True} | each.kind.schema()
        schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        if self.help:
            schema["description"] = self.help
        conditions = [_required(each) for each in self.fields if each.mandatory and not each.unavailable]
        plain = [name for names in conditions if len(names) == 1 for name in names]
        if plain:
            schema["required"] = plain
        choices = [{"oneOf": [{"required": [name]} for name in names]} for names in conditions if len(names) > 1]
        return schema | ({"allOf": choices} if choices else {})


def _required(each: Field) -> tuple[str, ...]:
    return (each.name, *each.spellings)


@dataclass(frozen=True)
class TableOf:
    """A mapping from names of the writer's choice to values of one kind; a dict."""

    value: Kind
    expected: str = "names and values"

    def read(self, node: Node, report: Report) -> Any:
        """Return a dict of the entries that fit."""
        if not isinstance(node, Keyed):
            report.error(node, f"expected {self.expected}, found {found(node)}")
            return INVALID
        values = {name: self.value.read(value, report) for name, (_, value) in node.entries.items()}
        return {name: value for name, value in values.items() if value is not INVALID}

    def schema(self) -> Schema:
        """Return an object with free property names."""
        return {"type": "object", "additionalProperties": self.value.schema()}
