"""One element while rules work on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class ElementInWork(Protocol):
    """What a transformation sees of an element, and may do to it.

    Attributes
    ----------
    tag, vr
        Of the element as earlier rules left it.
    present
        Whether it exists; AddTags is also asked where it does not.
    encodings, order
        Character sets and byte order (``<``, ``>``) to write values in.
    """

    tag: int
    vr: str
    present: bool

    @property
    def encodings(self) -> tuple[str, ...]:
        """Python's names of the character sets in force."""

    @property
    def order(self) -> str:
        """Byte order, as struct writes it."""

    @property
    def is_empty(self) -> bool:
        """Whether the element has no value."""

    def replace_values(self, replace: Callable[[str, ElementInWork], str], element: ElementInWork) -> None:
        """Replace every value of a text element (padding aside)."""

    def mapped(self, kind: str, reuse_mapping: str | None, original: str, make: Callable[[bytes], str]) -> str:
        """Return what stands for an original value; ``make`` makes a new value from 32 random bytes."""

    def write(self, vr: str, raw: bytes) -> None:
        """Give the element a VR and a value."""

    def empty(self) -> None:
        """Take the value away."""

    def remove(self) -> None:
        """Take the element away."""

    def note(self, text: str) -> None:
        """Report something about the element, without its value."""
