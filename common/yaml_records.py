"""The kinds of values that have keys: records, whose keys are known, and tables, whose keys are the writer's choice.

They are kinds as those of :mod:`common.yaml_kinds` are, made of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from common.yaml_file import Items, Keyed, Node, Report, Scalar
from common.yaml_kinds import INVALID, Kind, Schema, did_you_mean, found


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
