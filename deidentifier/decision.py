"""What a plan decides about one kind of element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from common.dicom_dataset import Item
    from deidentifier.element import Step
    from deidentifier.plan_level import PlanLevel


@dataclass(frozen=True)
class Decision:
    """What is done to an element.

    Attributes
    ----------
    rules
        Numbers of the rules that decide.
    removed, emptied
        It goes, or its value does.
    actions
        Rules that work on its value, one after another.
    level
        What is done inside its items, for a sequence that stays.
    numbered
        The same by the item's number, where a rule is for one item only.
    choose
        The same by what the item holds; None where the item goes.
    unless
        The element stays untouched where this holds for the bytes of its value.
    quiet
        No rule reaches into the sequence: only group lengths, if there are any, are taken out of it.
    leaves_empty
        An element without a value stays untouched.
    slot
        Number of the memory for values that the same rules work on; -1 where results are not remembered.
    reason
        The profile, where it decides, and what it does.
    notes
        For reports, without values.
    """

    rules: tuple[int, ...] = ()
    removed: bool = False
    emptied: bool = False
    actions: tuple[Step, ...] = ()
    level: PlanLevel | None = field(default=None, repr=False)
    numbered: Callable[[int], PlanLevel] | None = field(default=None, repr=False)
    choose: Callable[[Item], PlanLevel | None] | None = field(default=None, repr=False)
    unless: Callable[[bytes], bool] | None = None
    quiet: bool = False
    leaves_empty: bool = False
    slot: int = -1
    reason: str = ""
    notes: tuple[str, ...] = ()
