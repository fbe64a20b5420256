"""``RandomizeUID``."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from common.dicom_dictionary import DicomDictionary
from common.tag_patterns import TagPattern
from common.yaml_kinds import Text
from deidentifier.transformations.base import Effect, Transformation, exceptions, key, listed, patterns, transformation

if TYPE_CHECKING:
    from deidentifier.element import ElementInWork

_REGISTERED = "1.2.840.10008"
"""Root of the UIDs that the standard registers (PS3.6 A)."""
_REGISTERED_BELOW = _REGISTERED + "."
_MAX_LENGTH = 64
_MAX_PREFIX = 40
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*\.?")


# Elements that name a kind of thing, not a thing: classes, syntaxes, coding schemes, templates, contexts.
_NAMES_A_KIND = re.compile(
    r".*(ClassUID|ClassUIDInFile|SyntaxUID|SyntaxUIDInFile)|SOPClasses\w+|PertinentSOPClasses\w+|CodingSchemeUID"
    r"|ContextUID|ContextGroupExtensionCreatorUID|MappingResourceUID|Template\w+UID|PrivateInformationCreatorUID"
)
KINDS = frozenset(
    tag for tag, entry in DicomDictionary.items() if entry[0] == "UI" and _NAMES_A_KIND.fullmatch(entry[4])
)
"""Tags of UI elements that RandomizeUID never changes, whatever they hold (private SOP classes too)."""


def parse_prefix(text: str) -> str:
    """Parse the root of new UIDs; room for a random part must be left (PS3.5 9.1: 64 characters).

    Raises
    ------
    ValueError
        It is no root of a UID.
    """
    if not _UID.fullmatch(text) or len(text) > _MAX_PREFIX:
        raise ValueError(f"expected a UID root of at most {_MAX_PREFIX} characters: digits and dots, as 1.2.826.0.1.")
    return text.rstrip(".") + "."


@transformation
class RandomizeUID(Transformation):
    """Replaces each UID by a random one, always the same for the same original.

    UIDs that PS3.6 registers are never replaced, nor are the elements that name a class, a syntax or a coding.
    """

    NAME: ClassVar[str] = "RandomizeUID"
    LEAVES_EMPTY: ClassVar[bool] = True

    tag_patterns: tuple[TagPattern, ...] = patterns()
    except_tag_patterns: tuple[TagPattern, ...] = exceptions()
    prefix_uid: str | None = key(
        "PrefixUID",
        Text(parse_prefix, expected="a UID root"),
        "Root of the new UIDs; absent, they are UUIDs under 2.25 (PS3.5 B.2).",
        default=None,
        spellings=("Prefix",),
    )

    @property
    def repeatable(self) -> bool:
        """Always: mappings of UIDs hold everywhere."""
        return True

    def describe(self) -> str:
        """Return a sentence in plain English."""
        root = f" below {self.prefix_uid}" if self.prefix_uid else ""
        names = listed(self.tag_patterns, self.except_tag_patterns)
        return f"Replaces the UIDs in {names} by random ones{root}, the same everywhere."

    def effect(self, tag: int, vr: str, present: bool) -> Effect:
        """UIDs change that name a thing."""
        return uid_effect(tag, vr) if present else Effect.KEEPS

    def apply(self, element: ElementInWork) -> None:
        """Replace every value that names a thing."""
        randomize_uids(element, self.prefix_uid)


def uid_effect(tag: int, vr: str) -> Effect:
    """Return what replacing UIDs does to an element."""
    return Effect.CHANGES if vr == "UI" and tag not in KINDS else Effect.KEEPS


def randomize_uids(element: ElementInWork, prefix: str | None = None) -> None:
    """Replace the UIDs of a UI element, but for registered ones and those that name a kind of thing."""
    if element.vr == "UI" and element.tag not in KINDS:
        element.replace_values(_replaced if prefix is None else partial(_replaced, make=partial(_under, prefix)))


def replace_every_uid(element: ElementInWork) -> None:
    """Replace the UIDs of a UI element whatever it names, but for registered ones."""
    if element.vr == "UI":
        element.replace_values(_replaced)


def _replaced(value: str, element: ElementInWork, make: Callable[[bytes], str] | None = None) -> str:
    if not value or value.startswith(_REGISTERED_BELOW) or value == _REGISTERED:
        return value
    return element.mapped("UID", "Always", value, make or random_uid)


def random_uid(random: bytes) -> str:
    """Return a UID made of a random UUID (PS3.5 B.2, RFC 9562 version 4)."""
    return f"2.25.{UUID(bytes=random[:16], version=4).int}"


def _under(prefix: str, random: bytes) -> str:
    """Return a UID below a prefix that ends with a dot."""
    room = _MAX_LENGTH - len(prefix)
    digits = str(int.from_bytes(random))[-min(room, 38) :].lstrip("0") or "1"
    return prefix + digits
