"""YAML with positions, held to a schema that is data.

:func:`parse_yaml` turns text into nodes that know their line and column. A *kind* (:class:`Text`, :class:`Integer`,
:class:`ListOf`, :class:`Record`, …) reads a node into a plain value, reports everything that is wrong with it as a
:class:`~common.errors.Problem`, and writes the JSON Schema of what it accepts: validator and schema are one
declaration. See :mod:`common.yaml_kinds` and :mod:`common.yaml_records` for the kinds.

Only what configuration needs is understood: mappings with text keys, sequences, scalars, anchors, aliases and merge
keys. Text is taken as written (``00100010`` is no octal number, ``no`` is no switch where text is expected).
Depth, size, and the size after expanding aliases are bounded; duplicate keys are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from common.errors import Problem, QueryError

MAX_CHARACTERS = 4_000_000
MAX_DEPTH = 40
MAX_NODES = 200_000

_STANDARD_TAG = "tag:yaml.org,2002:"
_MERGE = _STANDARD_TAG + "merge"
_NULL = _STANDARD_TAG + "null"
_WHOLE_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9_]*)")
_DECIMAL_NUMBER = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Node:
    """A place in a file; lines and columns count from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Scalar(Node):
    """A single value: its text as written, and whether it stands in quotes (or is a block)."""

    text: str
    quoted: bool = False
    block: bool = False
    null: bool = False

    @property
    def value(self) -> str | int | float | bool | None:
        """The value as its shape says: null, true, false, a decimal number, else text."""
        if self.null:
            return None
        if not self.quoted and self.text.lower() in {"true", "false"}:
            return self.text.lower() == "true"
        if not self.quoted and _WHOLE_NUMBER.fullmatch(self.text):
            return int(self.text)
        if not self.quoted and _DECIMAL_NUMBER.fullmatch(self.text) and not re.fullmatch(r"0\d+", self.text):
            return float(self.text)
        return self.text


@dataclass(frozen=True)
class Items(Node):
    """A sequence."""

    items: tuple[Node, ...]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.items)


@dataclass(frozen=True)
class Keyed(Node):
    """A mapping: for each key, the node of the key and that of its value, in file order."""

    entries: dict[str, tuple[Scalar, Node]]


@dataclass
class Report:
    """Collects the problems of one file."""

    file: str
    problems: list[Problem] = field(default_factory=list)

    def error(self, node: Node | None, message: str, offset: int = 0) -> None:
        """Add an error; ``offset`` counts characters into a scalar that stands on one line."""
        self._add(node, message, offset, "error")

    def warn(self, node: Node | None, message: str) -> None:
        """Add a warning: the file is in force all the same."""
        self._add(node, message, 0, "warning")

    def refuse(self, node: Node, exc: ValueError | QueryError) -> None:
        """Add what a parser of ours says about the text of a scalar, at the character it says it about."""
        self.error(node, str(exc), getattr(exc, "position", 0))

    @property
    def errors(self) -> list[Problem]:
        """The errors, in file order."""
        return sorted({problem for problem in self.problems if problem.severity == "error"})

    @property
    def warnings(self) -> list[Problem]:
        """The warnings, in file order."""
        return sorted({problem for problem in self.problems if problem.severity != "error"})

    def _add(self, node: Node | None, message: str, offset: int, severity: str) -> None:
        line, column = (node.line, node.column) if node else (0, 0)
        if isinstance(node, Scalar) and not node.block and "\n" not in node.text:
            column += offset + (1 if node.quoted and offset else 0)
        self.problems.append(Problem(self.file, line, column, message, severity))


def parse_yaml(text: str | bytes, report: Report) -> Node | None:
    """Parse a file of one YAML document.

    Parameters
    ----------
    text
        The file; bytes are UTF-8, with or without a byte order mark.
    report
        Receives what is wrong: bad syntax, bad UTF-8, duplicate keys, keys that are no text, foreign tags,
        too deep, too large.

    Returns
    -------
    Node or None
        The document; None where there is none, or it cannot be parsed at all.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            before = exc.object[: exc.start]
            report.error(Node(before.count(b"\n") + 1, exc.start - before.rfind(b"\n")), "the file must be UTF-8")
            return None
    if len(text) > MAX_CHARACTERS:
        report.error(Node(1, 1), f"the file must not be longer than {MAX_CHARACTERS} characters")
        return None
    return _compose(text, report)


class _Composer(yaml.SafeLoader):
    """PyYAML's composer with a limit to nesting: it recurses, and a stack overflow is no error message."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(
                None,
                None,
                f"nested deeper than {MAX_DEPTH} levels",
                self.peek_event().start_mark,  # type: ignore[no-untyped-call]
            )
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _compose(text: str, report: Report) -> Node | None:
    loader = None
    try:
        loader = _Composer(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = Node(mark.line + 1, mark.column + 1) if mark else Node(1, 1)
        report.error(place, f"not YAML: {exc.problem or exc.context}")
        return None
    except yaml.reader.ReaderError as exc:
        before = text[: exc.position]
        place = Node(before.count("\n") + 1, exc.position - before.rfind("\n"))
        report.error(place, f"not YAML: the character U+{ord(text[exc.position]):04X} is not allowed")
        return None
    finally:
        if loader is not None:
            loader.dispose()
    try:
        return _Converter(report).convert(root) if root is not None else None
    except _TooLargeError as exc:
        report.error(exc.node, str(exc))
        return None


class _TooLargeError(Exception):
    def __init__(self, node: Node, message: str) -> None:
        super().__init__(message)
        self.node = node


class _Converter:
    """Turns PyYAML's nodes into ours; aliases are expanded, so a bomb meets the limit of nodes."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.count = 0
        self.open: set[int] = set()

    def convert(self, node: yaml.Node) -> Node:
        place = Node(node.start_mark.line + 1, node.start_mark.column + 1)
        self.count += 1
        if self.count > MAX_NODES:
            raise _TooLargeError(place, f"more than {MAX_NODES} values once its aliases are expanded")
        if id(node) in self.open:
            raise _TooLargeError(place, "an alias that holds itself")
        if not node.tag.startswith(_STANDARD_TAG) or node.tag.startswith(_STANDARD_TAG + "python"):
            self.report.error(place, f"the tag {node.tag} is not allowed here")
        self.open.add(id(node))
        converted = self._convert(node, place)
        self.open.discard(id(node))
        return converted

    def _convert(self, node: yaml.Node, place: Node) -> Node:
        if isinstance(node, yaml.ScalarNode):
            quoted, block = bool(node.style), node.style in ("|", ">")
            return Scalar(place.line, place.column, node.value, quoted, block, node.tag == _NULL)
        if isinstance(node, yaml.SequenceNode):
            return Items(place.line, place.column, tuple(self.convert(item) for item in node.value))
        return Keyed(place.line, place.column, self._entries(node))

    def _entries(self, node: Any) -> dict[str, tuple[Scalar, Node]]:
        entries: dict[str, tuple[Scalar, Node]] = {}
        merged: list[Keyed] = []
        for key_node, value_node in node.value:
            key, value = self.convert(key_node), self.convert(value_node)
            if key_node.tag == _MERGE:
                merged += self._merged(value)
            elif not isinstance(key, Scalar):
                self.report.error(key, "a key must be text")
            elif key.text in entries:
                first = entries[key.text][0]
                self.report.error(key, f"{key.text} stands here a second time (first on line {first.line})")
            else:
                entries[key.text] = (key, value)
        for other in merged:
            for name, entry in other.entries.items():
                entries.setdefault(name, entry)
        return entries

    def _merged(self, value: Node) -> list[Keyed]:
        candidates = list(value) if isinstance(value, Items) else [value]
        for node in candidates:
            if not isinstance(node, Keyed):
                self.report.error(node, "<< takes a mapping or a list of mappings")
        return [node for node in candidates if isinstance(node, Keyed)]
