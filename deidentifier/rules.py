"""What a rules file says, once it is read and found right."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.errors import Problem

if TYPE_CHECKING:
    from common.query import Node
    from common.tag_patterns import Selector
    from deidentifier.transformations.base import Transformation

ALL = "ALL"
"""The label that every instance carries."""


@dataclass(frozen=True)
class Label:
    """A name for the instances that a query matches."""

    name: str
    text: str
    node: Node


@dataclass(frozen=True)
class Scope:
    """Whom something is for: one of some labels, and none of others. Categories are already their labels."""

    labels: frozenset[str]
    except_labels: frozenset[str]

    def holds(self, labels: Set[str]) -> bool:
        """Tell whether an instance with these labels is in scope; an exclusion always wins."""
        return not self.labels.isdisjoint(labels) and self.except_labels.isdisjoint(labels)


@dataclass(frozen=True)
class Profiled:
    """The confidentiality profile as an entry asks for it: its options, what it leaves alone, and the line."""

    options: frozenset[str]
    keep: tuple[Selector, ...]
    line: int


@dataclass(frozen=True)
class Entry:
    """One entry of ``Transformations``, with the line it begins on."""

    scope: Scope
    transformations: tuple[Transformation, ...]
    transcode: str | None
    line: int
    profile: Profiled | None = None


@dataclass(frozen=True)
class Rules:
    """The rules in force.

    ``sha256`` is that of the file's bytes, in hexadecimal: kept with every task, so that one can tell which
    rules made an instance. ``on_leak`` is None where the file leaves it to the default. ``warnings`` are about
    rules that are legal but perhaps not meant.
    """

    labels: tuple[Label, ...]
    scope_to_forward: Scope
    entries: tuple[Entry, ...]
    on_leak: str | None
    sha256: str
    warnings: tuple[Problem, ...] = ()
