"""What every transformation declares: its YAML keys as data, and sentences for the manual.

A transformation is a frozen dataclass whose fields are made by :func:`key`; the rules file's validator, its JSON
Schema and the manual are made of them.
"""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, dataclass_transform

from common.tag_patterns import Selector, TagPattern, parse_tag_pattern
from common.yaml_file import Node, Report
from common.yaml_kinds import INVALID, Kind, ListOf, OneOf, Schema, Text
from common.yaml_records import Field, Record, Values

if TYPE_CHECKING:
    from deidentifier.element import ElementInWork

T = TypeVar("T")


class Effect(Enum):
    """What a rule does to an element of a certain tag and VR, whatever its value."""

    KEEPS = "leaves it"
    CHANGES = "changes its value"
    WRITES = "writes it"
    EMPTIES = "empties it"
    REMOVES = "removes it"


_MISSING: Any = object()

REUSE = ("Always", "SamePatient", "SameStudy", "SameSeries", "SameInstance")

PATTERN = Text(parse_tag_pattern, expected="a tag pattern")
PATTERNS = ListOf(PATTERN, single=True, minimum=1)


def key(
    name: str,
    kind: Kind,
    help: str,
    *,
    default: Any = _MISSING,
    spellings: tuple[str, ...] = (),
    unavailable: str = "",
) -> Any:
    """Declare one YAML key of a transformation.

    Parameters
    ----------
    name
        The key.
    kind
        What its value may be.
    help
        One sentence for the manual and the JSON Schema.
    default
        The value where the key is absent; without it the key is mandatory.
    spellings
        Older names, accepted with a warning.
    unavailable
        Refuses the key with this reason.
    """
    declared = Field(
        name,
        kind,
        help,
        mandatory=default is _MISSING,
        default=None if default is _MISSING else default,
        spellings=spellings,
        unavailable=unavailable,
    )
    return dataclasses.field(metadata={"key": declared})


def patterns() -> Any:
    """Declare ``TagPatterns``."""
    return key("TagPatterns", PATTERNS, "Elements that it is about.")


def exceptions() -> Any:
    """Declare ``ExceptTagPatterns``."""
    return key(
        "ExceptTagPatterns",
        PATTERNS,
        "Elements that it leaves alone, whatever TagPatterns says.",
        default=(),
        spellings=("NotTagPatterns",),
    )


def reuse() -> Any:
    """Declare ``ReuseMapping``."""
    return key(
        "ReuseMapping",
        OneOf(REUSE),
        "Where the same original value gets the same new value; absent, it differs for every instance, element path "
        "and value.",
        default=None,
    )


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(key, patterns, exceptions, reuse))
def transformation(cls: type[T]) -> type[T]:
    """Make a class of keys a frozen, keyword-only dataclass."""
    return dataclass(frozen=True, kw_only=True)(cls)


@dataclass(frozen=True)
class Transformation:
    """Base of all transformations."""

    NAME: ClassVar[str] = ""
    """The key under ``Transformations``."""

    LEAVES_EMPTY: ClassVar[bool] = False
    """Whether it does nothing to an element without a value."""

    place: Node = dataclasses.field(default=Node(0, 0), kw_only=True, compare=False)
    """Where in the rules file it begins; line 0 for one made in code."""

    @property
    def repeatable(self) -> bool:
        """Whether the same bytes always become the same in its mapping scope, so that the result can be remembered."""
        return False

    @property
    def stands_alone(self) -> bool:
        """Whether no other rule of its type may change the same element."""
        return False

    @property
    def line(self) -> int:
        """Line of the rules file that it begins on."""
        return self.place.line

    @classmethod
    def fields(cls) -> tuple[Field, ...]:
        """Return the YAML keys."""
        return tuple(each.metadata["key"] for each in dataclasses.fields(cls) if "key" in each.metadata)

    @classmethod
    def kind(cls) -> Kind:
        """Return the kind of one item of its list in the rules file: read, it gives an instance."""
        return _TransformationKind(cls)

    @classmethod
    def summary(cls) -> str:
        """Return the first sentence of its docstring."""
        return inspect.getdoc(cls).split("\n\n")[0].replace("\n", " ") if cls.__doc__ else ""  # type: ignore[union-attr]

    @classmethod
    def check(cls, values: Values, report: Report) -> None:
        """Report what is wrong with the keys taken together; a value may be :data:`~common.yaml_kinds.INVALID`."""

    def describe(self) -> str:
        """Return a sentence in plain English: what this rule does to which elements."""
        raise NotImplementedError

    def selector(self) -> Selector:
        """Return which elements the rule is for; the plan matches those of all rules together."""
        patterns = getattr(self, "tag_patterns", ())
        return Selector(patterns, getattr(self, "except_tag_patterns", ()))

    def effect(self, tag: int, vr: str, present: bool) -> Effect:
        """Return what the rule does to an element that it selects; the plan leaves out what has no effect."""
        raise NotImplementedError

    def apply(self, element: ElementInWork) -> None:
        """Change an element that the rule is for; the plan calls this once for each."""
        raise NotImplementedError


@dataclass(frozen=True)
class _TransformationKind:
    """Reads an item of a transformation's list."""

    cls: type[Transformation]

    @property
    def expected(self) -> str:
        return f"the keys of {self.cls.NAME}"

    @property
    def _record(self) -> Record:
        return Record(self.cls.fields(), self.expected, self.cls.summary(), self.cls.check)

    def read(self, node: Node, report: Report) -> Any:
        before = len(report.errors)
        values = self._record.read(node, report)
        if values is INVALID or len(report.errors) > before:
            return INVALID
        names = [each.name for each in dataclasses.fields(self.cls) if "key" in each.metadata]
        given = [values[declared.name] for declared in self.cls.fields()]
        return self.cls(**dict(zip(names, given, strict=True)), place=Node(node.line, node.column))

    def schema(self) -> Schema:
        return self._record.schema()


def listed(patterns: tuple[TagPattern, ...], exceptions: tuple[TagPattern, ...] = ()) -> str:
    """Name elements for a sentence."""
    names = ", ".join(pattern.text for pattern in patterns)
    return f"{names} (except {', '.join(pattern.text for pattern in exceptions)})" if exceptions else names


def within(scope: str | None) -> str:
    """Say where the same original gets the same new value."""
    words = {
        "Always": "the same everywhere",
        "SamePatient": "the same within a patient",
        "SameStudy": "the same within a study",
        "SameSeries": "the same within a series",
        "SameInstance": "the same within an instance",
    }
    return words.get(scope or "", "different for every instance and element")
