"""Which rules act on an instance, by its labels, compiled once for each set of labels that matters."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from common.dicom_head import Head
from common.tag_patterns import Selector, Selectors
from common.yaml_file import Node
from deidentifier.plan import Plan
from deidentifier.profiles.classes import refuse_class
from deidentifier.profiles.declared import Declared
from deidentifier.profiles.marks import marks
from deidentifier.profiles.place import Profile
from deidentifier.rules import Entry, Rules
from deidentifier.transformations import TRANSFORMATIONS, Transformation
from deidentifier.transformations.randomize_text import RandomizeText
from deidentifier.transformations.remove_burned_in_annotations import RemoveBurnedInAnnotations
from deidentifier.transformations.shift_date_time import ShiftDateTime

VERSION = "2"
_KEPT = 10_000
_COMPILED = 1_000


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
    profile
        The confidentiality profile that is in force.
    keep
        What KeepTags exempts from it.
    refused
        Why an instance of this kind goes to quarantine.
    needs
        Tags of elements without a value of which an instance does: no predefined code can stand for them.
    """

    plan: Plan
    pixels: tuple[RemoveBurnedInAnnotations, ...]
    plan_after: Plan | None
    transcode: str | None
    profile: Profile | None = None
    keep: tuple[Selector, ...] = ()
    refused: str = ""
    needs: frozenset[int] = frozenset()

    def keeps(self, heads: Sequence[Head]) -> bool:
        """Tell whether KeepTags exempts the last of these elements, which the others contain."""
        if not self.keep:
            return False
        level = Selectors(self.keep).top
        for head in heads[:-1]:
            level = level.enter(head)
        return bool(level.matching(heads[-1]))


class Programs:
    """The programs of some rules."""

    def __init__(self, rules: Rules) -> None:
        self._entries = rules.entries
        self._by_labels: dict[tuple[frozenset[str], str, Declared], Program] = {}
        self._by_entries: dict[tuple[tuple[int, ...], str, Declared], Program] = {}

    def program(self, labels: frozenset[str], sop_class: str = "", declared: Declared = frozenset()) -> Program:
        """Return the program for an instance with these labels, of this SOP class, with these safe private elements."""
        found = self._by_labels.get((labels, sop_class, declared))
        if found is None:
            if len(self._by_labels) > _KEPT or len(self._by_entries) > _COMPILED:
                self._by_labels.clear()
                self._by_entries.clear()
            found = self._by_labels[labels, sop_class, declared] = self._find(labels, sop_class, declared)
        return found

    def _find(self, labels: Set[str], sop_class: str, declared: Declared) -> Program:
        numbers = tuple(number for number, entry in enumerate(self._entries) if entry.scope.holds(labels))
        entries = [self._entries[number] for number in numbers]
        # Without a profile all classes are treated alike.
        kind = sop_class if any(entry.profile for entry in entries) else ""
        found = self._by_entries.get((numbers, kind, declared))
        if found is None:
            found = self._by_entries[numbers, kind, declared] = _compile(entries, kind, declared)
        return found


def _compile(entries: list[Entry], sop_class: str, declared: Declared) -> Program:
    """Join the rules of entries: by type in the order of the types, within a type in file order."""
    given = [rule for entry in entries for rule in entry.transformations]
    profile, keep, refused = _profile(entries, given, sop_class, declared)
    refused = _two_projects(given) or refused
    if profile is not None and "CleanPixelData" in profile.options and not _reads_pixels(given):
        given.append(_read_text(profile.line))
    rules: list[Transformation] = [rule for cls in TRANSFORMATIONS for rule in given if isinstance(rule, cls)]
    pixels = tuple(rule for rule in rules if isinstance(rule, RemoveBurnedInAnnotations))
    transcode = next((entry.transcode for entry in reversed(entries) if entry.transcode), None)
    said = marks(profile, kept=bool(keep), version=VERSION) if profile is not None else ()
    if not pixels:
        plan = Plan([*rules, *said], profile, keep=keep)
        return Program(plan, (), None, transcode, profile, keep, refused, _needs(rules))
    first, last = rules.index(pixels[0]), len(rules) - rules[::-1].index(pixels[-1])
    plan = Plan(rules[:first], profile, keep=keep, later=rules[last:])
    after = Plan([*rules[last:], *said])
    return Program(plan, pixels, after, transcode, profile, keep, refused, _needs(rules))


def _two_projects(rules: list[Transformation]) -> str:
    """Tell why an instance that rules of two projects are for cannot be let through."""
    first: dict[str, int] = {}
    for rule in rules:
        if isinstance(rule, RandomizeText) and rule.project is not None:
            first.setdefault(rule.project, rule.line)
    if len(first) < 2:
        return ""
    places = " and ".join(f"{project} (line {line})" for project, line in first.items())
    return f"rules of more than one project are for it: {places}; set their scopes apart (ExceptLabels)"


def _needs(rules: list[Transformation]) -> frozenset[int]:
    """Return the tags that OnlyPredefined names: without a value, an instance would pass without a code."""
    only = [rule for rule in rules if isinstance(rule, RandomizeText) and rule.only_predefined]
    patterns = [pattern for rule in only for pattern in rule.tag_patterns]
    at_top = [pattern for pattern in patterns if len(pattern.parts) == 1 and pattern.prefix != "+/"]
    return frozenset(pattern.exact_tag for pattern in at_top if pattern.exact_tag)


def _read_text(line: int) -> RemoveBurnedInAnnotations:
    """Return the rule that CleanPixelData stands for where no rule reads the pixels."""
    return RemoveBurnedInAnnotations(
        type="OCR", box_coordinates=(), engine=None, keep=(), header_terms=False, place=Node(line, 1)
    )


def _reads_pixels(rules: list[Transformation]) -> bool:
    return any(isinstance(rule, RemoveBurnedInAnnotations) and rule.type == "OCR" for rule in rules)


def _profile(
    entries: list[Entry], rules: list[Transformation], sop_class: str, declared: Declared
) -> tuple[Profile | None, tuple[Selector, ...], str]:
    """Unite the profiles of entries; tell why an instance of this class cannot be let through."""
    asked = [entry.profile for entry in entries if entry.profile is not None]
    if not asked:
        return None, (), ""
    options = frozenset(option for each in asked for option in each.options)
    profile = Profile(options, sop_class, _shift_of(rules), asked[0].line, declared)
    keep = tuple(selector for each in asked for selector in each.keep)
    if options >= {"RetainLongitudinalFullDates", "RetainLongitudinalModifiedDates"}:
        return profile, keep, "the rules that match it ask both to keep and to move dates"
    return profile, keep, refuse_class(sop_class)


def _shift_of(rules: list[Transformation]) -> ShiftDateTime:
    """Return how dates move under RetainLongitudinalModifiedDates: as a rule says, else within a year each way."""
    given = [rule for rule in rules if isinstance(rule, ShiftDateTime) and rule.preserve_intervals]
    of_patient = [rule for rule in given if rule.reuse_mapping == "SamePatient"]
    default = ShiftDateTime(
        tag_patterns=(), except_tag_patterns=(), shift_by=365, reuse_mapping="SamePatient", preserve_intervals=True
    )
    return next(iter([*of_patient, *given]), default)
