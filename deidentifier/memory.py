"""What rules made of values and of small sequences before: most of them come again in every instance of a series.

A result is remembered only where nothing but the bytes of the element and the mappings of some scopes decided about
it, so a :class:`Memory` is for one plan and the values of those scopes. What a random value of one instance went into
is never remembered.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, ClassVar

from common.dicom_text import strip_padding

if TYPE_CHECKING:
    from common.dicom_dataset import Element
    from common.dicom_head import Syntax
    from deidentifier.decision import Decision
    from deidentifier.plan import Plan
    from deidentifier.plan_level import PlanLevel

LONGEST_VALUE = 128
LONGEST_SEQUENCE = 512
_MEMORIES = 8
MOST_VALUES = 5_000
"""Values that are remembered of one kind."""
_SEQUENCES = 2_000

Scopes = tuple[tuple[str, str], ...]
"""Types and values of mapping scopes."""
SequenceKey = tuple["PlanLevel | None", str, "Syntax", tuple[str, ...], bytes]
"""The plan inside; path, syntax and character sets of the data set around; the bytes of the sequence."""
Log = list[tuple[str, Any, "Decision", Any]]


class Recalled:
    """An element whose new value is remembered: what reports need of an element in work."""

    __slots__ = ("_before", "raw", "vr")
    changed = present = True
    notes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, vr: str, before: bytes, raw: bytes) -> None:
        self.vr = vr
        self._before = before
        self.raw = raw

    @property
    def original(self) -> bytes:
        """The bytes of the value before the rules, without padding."""
        return strip_padding(self._before)

    @property
    def outcome(self) -> str:
        """What became of the element, in a word."""
        return "changed" if self.raw else "emptied"


class Memory:
    """What one plan made of what it met, with certain mapping scopes; bounded.

    Attributes
    ----------
    values
        By the decision's slot: bytes of a value → bytes of its new value.
    sequences
        Bytes of a sequence → its new bytes (None: untouched), and what was done in it.
    """

    def __init__(self) -> None:
        self.values: defaultdict[int, dict[bytes, bytes]] = defaultdict(dict)
        self.sequences: dict[SequenceKey, tuple[bytes | None, Log]] = {}

    def keep_value(self, slot: int, before: bytes, after: bytes) -> None:
        """Remember a value; only plain ASCII, which means the same in every character set."""
        if len(before) <= LONGEST_VALUE and before.isascii() and b"\x1b" not in before:
            known = self.values[slot]
            if len(known) >= MOST_VALUES:
                known.clear()
            known[before] = after

    def keep_sequence(self, key: SequenceKey, after: bytes | None, log: Log) -> None:
        """Remember a sequence."""
        if len(self.sequences) >= _SEQUENCES:
            self.sequences.clear()
        self.sequences[key] = (after, log)


class Memories:
    """The memories of a process; the oldest go first."""

    def __init__(self) -> None:
        self._known: dict[tuple[Plan, Scopes], Memory] = {}

    def of(self, plan: Plan, scopes: Scopes) -> Memory:
        """Return the memory of a plan with the values of some mapping scopes."""
        found = self._known.get((plan, scopes))
        if found is None:
            if len(self._known) >= _MEMORIES:
                del self._known[next(iter(self._known))]
            found = self._known[plan, scopes] = Memory()
        return found


def may_be_remembered(element: Element) -> bool:
    """Tell whether a sequence is small enough to be remembered."""
    return element[3] - element[1] <= LONGEST_SEQUENCE
