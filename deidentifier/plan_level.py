"""What a plan does at the top level, or inside one kind of item: rules in their order, then the profile.

A decision is what all rules together do to an element: what an earlier rule did to a value that a later one takes
away is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from common.dicom_dataset import CHARACTER_SET
from common.dicom_head import Head, with_creator
from common.errors import QuarantineError
from common.tag_patterns import Level
from common.tags import is_private
from deidentifier.decision import Decision
from deidentifier.profiles.treatments import (
    Applied,
    Otherwise,
    Treatment,
    clean_character_set,
    known_character_set,
)
from deidentifier.transformations.add_tags import AddTags, Step
from deidentifier.transformations.base import Effect, Transformation

if TYPE_CHECKING:
    from common.dicom_dataset import DataSet, Item
    from deidentifier.plan import Plan
    from deidentifier.profiles.place import Place

_PADDING = 0xFFFCFFFC
_KEPT = 200_000

PROFILE = "Profile"
_DROPPED = Decision(removed=True)
_CHARACTER_SET = Decision(actions=(Applied(clean_character_set),), unless=known_character_set, reason=PROFILE)


@dataclass(frozen=True)
class Addition:
    """What is left of an AddTags rule's path at some level."""

    number: int
    steps: tuple[Step, ...]


class _Decisions(dict[Head, Decision | None]):
    """Decisions by head, made when they are asked for the first time."""

    def __init__(self, level: PlanLevel) -> None:
        super().__init__()
        self._level = level

    def __missing__(self, head: Head) -> Decision | None:
        if len(self) > _KEPT:
            self.clear()
        decision = self[head] = self._level.with_slot(head, self._level.decide(head))
        return decision


class PlanLevel:
    """What is done at the top level, or inside one kind of item."""

    def __init__(self, plan: Plan, level: Level, additions: tuple[Addition, ...], place: Place | None = None) -> None:
        self._plan = plan
        self._level = level
        self._additions = additions
        self._place = place
        self.live = level.live or bool(additions) or place is not None
        self.added = tuple(sorted({add.steps[0].tag for add in additions if len(add.steps) == 1}))
        self.decisions = _Decisions(self)

    def decide(self, head: Head) -> Decision | None:
        """Return what is done to an element, None for nothing."""
        tag = head.tag
        if tag & 0xFFFF == 0 or tag == _PADDING:
            return _DROPPED
        if tag == CHARACTER_SET:
            return _CHARACTER_SET if self._place is not None else None
        decision = self._decide(head, True)
        if self._place is not None:
            decision = self._with_profile(head, decision, self._place)
        if head.is_creator and decision is not None and not decision.removed:
            # It names the owner of a block; changed, the block would become someone else's.
            return None
        if decision is None and head.vr == "SQ":
            return self._decide_inside(head)
        return decision

    def _with_profile(self, head: Head, decision: Decision | None, place: Place) -> Decision | None:
        """Let the profile decide where no rule does; a rule that really changes the element replaces its action."""
        named = self._level.matching(head)
        if self._plan.takes_away_later(named):
            return decision
        treatment = place.treat(head)
        reason = f"{PROFILE}:{self._plan.profile_line}"
        if self._plan.exempts(named):
            if head.vr != "SQ" or decision is not None:
                return decision
            inside = treatment.place if treatment is not None and treatment.place is not None else place.enter(head)
            return self._inside(head, Treatment(f"{reason} (kept by KeepTags)", place=inside))
        if treatment is None:
            return decision
        if decision is None:
            return self._treated(head, treatment, f"{reason} ({treatment.reason})")
        notes = (f"replaces the profile's action: {treatment.reason}",)
        if decision.removed or decision.emptied or isinstance(decision.actions[0], AddTags):
            return replace(decision, notes=notes)
        return replace(decision, actions=(*decision.actions, Otherwise(treatment)), notes=notes)

    def _treated(self, head: Head, treatment: Treatment, reason: str) -> Decision:
        if treatment.place is not None:
            return self._inside(head, replace(treatment, reason=reason))
        actions = (Applied(treatment.act),) if treatment.act is not None else ()
        return Decision(
            removed=treatment.removed,
            emptied=treatment.emptied,
            actions=actions,
            unless=treatment.unless,
            reason=reason,
        )

    def _inside(self, head: Head, treatment: Treatment) -> Decision:
        """Return the decision to enter a sequence that the profile cleans inside."""
        choose = treatment.choose
        numbered = any(add.steps[0].tag == head.tag and add.steps[0].item is not None for add in self._additions)

        def chosen(item: Item) -> PlanLevel | None:
            place = choose(item) if choose is not None else None
            return None if place is None else self.enter(head, None, place)

        return Decision(
            level=self.enter(head, None, treatment.place),
            numbered=(lambda item: self.enter(head, item, treatment.place)) if numbered else None,
            choose=chosen if choose is not None else None,
            reason=treatment.reason,
        )

    def decide_absent(self, tag: int, dataset: DataSet) -> Decision | None:
        """Return what is done about an element that is not there, but may be added."""
        head = Head(tag, "", "", 4)
        if is_private(tag) and tag & 0xFFFF > 0xFF:
            creator = dataset.find(tag & 0xFFFF0000 | tag >> 8 & 0xFF)
            text = dataset.raw(creator).decode("latin-1").strip(" \0") if creator else ""
            head = with_creator(head, text)
        decision = self._decide(head, False)
        return None if decision is None or decision.removed else decision

    def _decide(self, head: Head, present: bool) -> Decision | None:
        """Go through the rules in order, keeping those that have an effect in the end."""
        actions: list[int] = []
        emptied = written = False
        number = -1
        while (number := self._next(head, number)) >= 0:
            rule = self._plan.rules[number]
            effect = rule.effect(head.tag, head.vr, present)
            if effect is Effect.REMOVES:
                return Decision((number,), removed=True)
            if effect is Effect.WRITES and isinstance(rule, AddTags):
                # What later rules match is the element as it is now.
                head = Head(head.tag, rule.vr, head.written, head.length_at, head.creator)
                actions, emptied, written, present = [number], False, True, True
            elif effect is Effect.EMPTIES:
                actions, emptied = [*(actions if written else ()), number], True
            elif effect is Effect.CHANGES and not emptied:
                actions.append(number)
        if not actions:
            return None
        rules = self._plan.rules
        _refuse_company(head, [rules[number] for number in actions])
        return Decision(
            tuple(actions), emptied=emptied and not written, actions=tuple(rules[number] for number in actions)
        )

    def _next(self, head: Head, after: int) -> int:
        """Return the number of the next rule that is for an element, -1 after the last."""
        numbers = {number for number in self._level.matching(head) if number < len(self._plan.rules)}
        numbers |= {add.number for add in self._additions if len(add.steps) == 1 and add.steps[0].tag == head.tag}
        return min((number for number in numbers if number > after), default=-1)

    def with_slot(self, head: Head, decision: Decision | None) -> Decision | None:
        """Say what can be spared: values without a value; and the same bytes, where they always become the same."""
        if decision is None or decision.emptied or not decision.actions:
            return decision
        rules = [action for action in decision.actions if isinstance(action, Transformation)]
        if len(rules) < len(decision.actions):
            return decision
        decision = replace(decision, leaves_empty=all(rule.LEAVES_EMPTY for rule in rules))
        if not all(rule.repeatable for rule in rules):
            return decision
        return replace(decision, slot=self._plan.slots.setdefault((decision.rules, head.vr), len(self._plan.slots)))

    def _decide_inside(self, head: Head) -> Decision:
        """Return the decision to enter a sequence."""
        level = self.enter(head, None)
        numbered = any(add.steps[0].tag == head.tag and add.steps[0].item is not None for add in self._additions)
        if numbered:
            return Decision(level=level, numbered=lambda item: self.enter(head, item))
        return Decision(level=level, quiet=not level.live)

    def enter(self, head: Head, item: int | None, place: Place | None = None) -> PlanLevel:
        """Return the level of an item (counted from 0) of a sequence; None for an item that no rule numbers."""
        inside = tuple(
            Addition(add.number, add.steps[1:])
            for add in self._additions
            if len(add.steps) > 1 and add.steps[0].tag == head.tag and add.steps[0].item in (None, item)
        )
        level = self._level.enter(head)
        known = self._plan.levels.get((level, inside, place))
        if known is None:
            known = self._plan.levels[level, inside, place] = PlanLevel(self._plan, level, inside, place)
        return known


def _refuse_company(head: Head, rules: Sequence[Transformation]) -> None:
    """Refuse that an element is changed by a rule that stands alone and by another of its type.

    Raises
    ------
    QuarantineError
        Two such rules are for the element.
    """
    for rule in rules:
        others = [each for each in rules if each is not rule and each.NAME == rule.NAME]
        if rule.stands_alone and others:
            raise QuarantineError(
                f"{head.name}: {rule.NAME} on line {rule.line} is for a project, and {others[0].NAME} on line "
                f"{others[0].line} changes the same element: set their scopes apart (ExceptLabels)"
            )
