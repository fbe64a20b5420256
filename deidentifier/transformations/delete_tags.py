"""``DeleteTags``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from common.tag_patterns import TagPattern
from common.yaml_kinds import OneOf
from deidentifier.transformations.base import Effect, Transformation, exceptions, key, listed, patterns, transformation

if TYPE_CHECKING:
    from deidentifier.element import ElementInWork


@transformation
class DeleteTags(Transformation):
    """Removes elements or empties their value.

    A sequence goes with all that it holds. A private creator stays as long as one of its elements stays, and goes
    with the last of them.
    """

    NAME: ClassVar[str] = "DeleteTags"

    tag_patterns: tuple[TagPattern, ...] = patterns()
    except_tag_patterns: tuple[TagPattern, ...] = exceptions()
    action: str = key("Action", OneOf(("Remove", "Empty")), "Remove the element, or keep it without a value.")

    def describe(self) -> str:
        """Return a sentence in plain English."""
        names = listed(self.tag_patterns, self.except_tag_patterns)
        return f"Removes {names}." if self.action == "Remove" else f"Empties {names}."

    def effect(self, tag: int, vr: str, present: bool) -> Effect:
        """Remove or empty."""
        if not present:
            return Effect.KEEPS
        return Effect.REMOVES if self.action == "Remove" else Effect.EMPTIES

    def apply(self, element: ElementInWork) -> None:
        """Remove or empty the element."""
        if self.action == "Remove":
            element.remove()
        else:
            element.empty()
