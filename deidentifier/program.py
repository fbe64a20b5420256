"""Which rules act on an instance, by its labels, compiled once for each set of labels that matters."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from deidentifier.plan import Plan
from deidentifier.rules import Entry, Rules
from deidentifier.transformations import TRANSFORMATIONS, Transformation
from deidentifier.transformations.remove_burned_in_annotations import RemoveBurnedInAnnotations


@dataclass(frozen=True)
class Program:
    """What is done to an instance.

    Attributes
    ----------
    plan
        What is done to the elements; where pixels are cleaned, only what is done before that.
    pixels
        Rules for the pixels.
    plan_after
        What is done to the elements after the pixels were cleaned.
    transcode
        Transfer syntax of the result; None for the original's.
    """

    plan: Plan
    pixels: tuple[RemoveBurnedInAnnotations, ...]
    plan_after: Plan | None
    transcode: str | None


class Programs:
    """The programs of some rules."""

    def __init__(self, rules: Rules) -> None:
        self._entries = rules.entries
        self._by_labels: dict[frozenset[str], Program] = {}
        self._by_entries: dict[tuple[int, ...], Program] = {}

    def program(self, labels: frozenset[str]) -> Program:
        """Return the program for an instance with these labels."""
        found = self._by_labels.get(labels)
        if found is None:
            found = self._by_labels[labels] = self._find(labels)
        return found

    def _find(self, labels: Set[str]) -> Program:
        numbers = tuple(number for number, entry in enumerate(self._entries) if entry.scope.holds(labels))
        found = self._by_entries.get(numbers)
        if found is None:
            found = self._by_entries[numbers] = _compile([self._entries[number] for number in numbers])
        return found


def _compile(entries: list[Entry]) -> Program:
    """Join the rules of entries: by type in the order of the types, within a type in file order."""
    given = [rule for entry in entries for rule in entry.transformations]
    rules: list[Transformation] = [rule for cls in TRANSFORMATIONS for rule in given if isinstance(rule, cls)]
    pixels = tuple(rule for rule in rules if isinstance(rule, RemoveBurnedInAnnotations))
    transcode = next((entry.transcode for entry in reversed(entries) if entry.transcode), None)
    if not pixels:
        return Program(Plan(rules), (), None, transcode)
    first, last = rules.index(pixels[0]), len(rules) - rules[::-1].index(pixels[-1])
    return Program(Plan(rules[:first]), pixels, Plan(rules[last:]), transcode)
