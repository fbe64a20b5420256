"""``RandomizeUID``."""

from __future__ import annotations

import re
from typing import ClassVar

from common.tag_patterns import TagPattern
from common.yaml_kinds import Text
from deidentifier.transformations.base import Transformation, exceptions, key, listed, patterns, transformation

_MAX_PREFIX = 40
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*\.?")


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

    tag_patterns: tuple[TagPattern, ...] = patterns()
    except_tag_patterns: tuple[TagPattern, ...] = exceptions()
    prefix_uid: str | None = key(
        "PrefixUID",
        Text(parse_prefix, expected="a UID root"),
        "Root of the new UIDs; absent, they are UUIDs under 2.25 (PS3.5 B.2).",
        default=None,
        spellings=("Prefix",),
    )

    def describe(self) -> str:
        """Return a sentence in plain English."""
        root = f" below {self.prefix_uid}" if self.prefix_uid else ""
        names = listed(self.tag_patterns, self.except_tag_patterns)
        return f"Replaces the UIDs in {names} by random ones{root}, the same everywhere."
