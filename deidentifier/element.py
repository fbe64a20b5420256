"""One element while rules work on it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from common.dicom_dataset import DataSet, Element
from common.dicom_text import SINGLE, decode_text, encode_text, strip_padding
from deidentifier.vrs import pad

if TYPE_CHECKING:
    from common.dicom_head import Syntax
    from deidentifier.instance import Instance
    from deidentifier.profiles.identity import Identity


class Step(Protocol):
    """What is done to an element: a transformation, or a part of the profile."""

    def apply(self, element: ElementInWork) -> None:
        """Do it."""


class ElementInWork:
    """What a transformation sees of an element, and may do to it.

    Attributes
    ----------
    tag, vr, raw
        As earlier rules left them; ``raw`` are the bytes of the value.
    present
        Whether it exists; AddTags is also asked where it does not.
    changed, removed
        What rules did to it.
    notes
        What rules report about it, without its value.
    """

    __slots__ = (
        "_dataset",
        "_end",
        "_head",
        "_instance",
        "_start",
        "_step",
        "_waits",
        "actions",
        "changed",
        "notes",
        "path",
        "present",
        "raw",
        "removed",
        "tag",
        "vr",
    )

    def __init__(
        self, dataset: DataSet, element: Element, actions: Sequence[Step], instance: Instance, path: str
    ) -> None:
        head, start, value, end = element
        self._dataset = dataset
        self._head = head
        self._start = start
        self._end = end
        self._instance = instance
        self._step = 0
        self._waits = False
        self.actions = actions
        self.path = path
        self.tag = head.tag
        self.vr = head.vr
        self.present = start != end
        self.raw = dataset.scan.data[value:end]
        self.changed = False
        self.removed = False
        self.notes: list[str] = []

    @property
    def encodings(self) -> tuple[str, ...]:
        """Python's names of the character sets in force."""
        return self._dataset.encodings

    @property
    def order(self) -> str:
        """Byte order, as struct writes it."""
        return self._dataset.syntax.order

    @property
    def identity(self) -> Identity:
        """What follows from the identifying values of the original."""
        return self._instance.identity

    @property
    def instance(self) -> Instance:
        """The instance in work."""
        return self._instance

    @property
    def syntax(self) -> Syntax:
        """How headers are written."""
        return self._dataset.syntax

    def sibling(self, tag: int) -> str:
        """Return the text of an ASCII element of the same data set or item in the original; empty where absent."""
        found = self._dataset.find(tag)
        return strip_padding(self._dataset.raw(found)).decode("latin-1").strip() if found else ""

    @property
    def is_empty(self) -> bool:
        """Whether the element has no value."""
        return not self.raw

    @property
    def original(self) -> bytes:
        """The bytes of the value before the rules, without padding."""
        at = self._start + self._head.length_at
        return strip_padding(self._dataset.scan.data[at + (2 if self._head.length_at == 6 else 4) : self._end])

    @property
    def outcome(self) -> str:
        """What became of the element, in a word."""
        if not self.present:
            return "removed"
        if self._start == self._end:
            return "added"
        return "changed" if self.raw else "emptied"

    def advance(self) -> bool:
        """Let the rules work; False as soon as one needs mappings that have to be fetched (then call again)."""
        for step in range(self._step, len(self.actions)):
            self.actions[step].apply(self)
            if self._waits:
                self._step = step
                self._waits = False
                return False
        return True

    def replace_values(self, replace: Callable[[str, ElementInWork], str]) -> None:
        """Replace every value of a text element, seen without padding; what stays the same keeps its bytes."""
        raw = self.raw
        if not raw:
            return
        plain = raw.isascii() and b"\x1b" not in raw
        text = (raw.decode("ascii") if plain else decode_text(raw, self.encodings)).rstrip(" \0")
        if self.vr in SINGLE:
            replaced = replace(text, self)
        elif "\\" not in text:
            text = text.strip(" \0")
            replaced = replace(text, self)
        else:
            values = [value.strip(" \0") for value in text.split("\\")]
            text = "\\".join(values)
            replaced = "\\".join([replace(value, self) for value in values])
        if replaced != text and not self._waits:
            encoded = replaced.encode("ascii") if replaced.isascii() else encode_text(replaced, self.encodings)
            self.raw = pad(encoded, self.vr)
            self.changed = True

    def mapped(
        self,
        kind: str,
        reuse_mapping: str | None,
        original: str,
        make: Callable[[bytes], str],
        project: tuple[str, ...] = (),
    ) -> str:
        """Return what stands for an original value; ``make`` makes a new value from 32 random bytes."""
        path = self.path + self._head.name if project else self.path
        found = self._instance.mapped(kind, reuse_mapping, original, make, path, project)
        if found is None:
            self._waits = True
            return original
        return found

    def write(self, vr: str, raw: bytes) -> None:
        """Give the element a VR and a value."""
        self.vr = vr
        self.raw = raw
        self.present = self.changed = True

    def empty(self) -> None:
        """Take the value away."""
        self.changed = self.changed or bool(self.raw)
        self.raw = b""

    def remove(self) -> None:
        """Take the element away."""
        self.removed = self.present
        self.present = False

    def note(self, text: str) -> None:
        """Report something about the element, without its value."""
        self.notes.append(text)

    def written(self) -> bytes | memoryview:
        """Return the bytes of the element as it is now."""
        if not self.present:
            return b""
        data, start = self._dataset.scan.data, self._start
        if not self.changed:
            return memoryview(data)[start : self._end]
        syntax, raw, head = self._dataset.syntax, self.raw, self._head
        try:
            if self.vr is head.vr and start != self._end:
                return syntax.with_length(data, start, head, len(raw)) + raw
            return syntax.write_header(self.tag, self.vr, len(raw)) + raw
        except struct.error:
            # A value too long for the 16 bits of its VR is written as UN (PS3.5 6.2.2).
            return syntax.write_header(self.tag, "UN", len(raw)) + raw
