"""Rules compiled: what is done to an element is decided once for each kind of element, then looked up.

::

    Plan(rules) ── .top ──► PlanLevel ── .decisions[head] ──► None: not touched
                                ▲                             Decision: removed, emptied,
                                └──── .enter(head, item) ◄─── worked on, or entered

Rules stand in the order in which they are applied, and are numbered so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from common.tag_patterns import Level, Selector, Selectors
from deidentifier.plan_level import Addition, PlanLevel
from deidentifier.transformations.add_tags import AddTags
from deidentifier.transformations.base import Transformation

if TYPE_CHECKING:
    from deidentifier.profiles.place import Place, Profile


def _scope_of(rule: Transformation) -> str | None:
    """Return the scope of a rule's mappings; None where it has none, or they hold everywhere."""
    scope: str | None = getattr(rule, "reuse_mapping", None)
    return None if scope == "Always" else scope


class Plan:
    """The rules of one kind of instance, compiled.

    Parameters
    ----------
    rules
        In the order in which they are applied.
    profile
        The confidentiality profile: it decides where no rule does.
    keep
        What KeepTags exempts from the profile.
    later
        DeleteTags rules of a plan that is applied after this one: they replace the profile's action.
    """

    def __init__(
        self,
        rules: Sequence[Transformation],
        profile: Profile | None = None,
        *,
        keep: Sequence[Selector] = (),
        later: Sequence[Transformation] = (),
    ) -> None:
        self.rules = tuple(rules)
        self.profile_line = profile.line if profile is not None else 0
        self.scopes = tuple(sorted({scope for rule in rules if (scope := _scope_of(rule)) is not None}))
        self.remembers_sequences = profile is None
        self.slots: dict[tuple[tuple[int, ...], str], int] = {}
        self.levels: dict[tuple[Level, tuple[Addition, ...], Place | None], PlanLevel] = {}
        additions = tuple(Addition(number, rule.tag) for number, rule in enumerate(rules) if isinstance(rule, AddTags))
        self._later = range(len(rules), len(rules) + len(later))
        self._keep = range(self._later.stop, self._later.stop + len(keep))
        selectors = [*(rule.selector() for rule in rules), *(rule.selector() for rule in later), *keep]
        place = profile.top if profile is not None else None
        self.top = PlanLevel(self, Selectors(selectors).top, additions, place)

    def takes_away_later(self, numbers: Sequence[int]) -> bool:
        """Tell whether a rule that is applied after the pixels takes the element away, or its value."""
        return any(number in self._later for number in numbers)

    def exempts(self, numbers: Sequence[int]) -> bool:
        """Tell whether KeepTags exempts an element from the profile."""
        return any(number in self._keep for number in numbers)
