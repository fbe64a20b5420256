"""Checks across the rules of a file: those that contradict each other, and those that are perhaps not meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from common.dicom_dictionary import DicomDictionary
from common.tag_patterns import Selectors, TagPattern
from common.yaml_file import Node, Report
from common.yaml_records import Values
from deidentifier.rules import ALL, Entry, Rules
from deidentifier.transformations.randomize_text import RandomizeText
from deidentifier.transformations.shift_date_time import SECONDS_PER_DAY, ShiftDateTime


def add_warnings(rules: Rules, values: Values, used_labels: set[str], report: Report) -> None:
    """Report contradictions as errors and what is perhaps not meant as warnings."""
    for value in values["Labels"]:
        if value["Name"] not in used_labels and value["Name"] in {label.name for label in rules.labels}:
            report.warn(value.at("Name"), f"nothing uses the label {value['Name']}")
    profiles = [entry for entry in rules.entries if entry.profile is not None]
    if not profiles:
        report.warn(
            Node(1, 1),
            "no confidentiality profile is in force: what these rules do not name is sent on as it came",
        )
    for entry in profiles:
        _warn_of_exceptions(entry, report)
    _check_projects(rules.entries, report)
    for entry in rules.entries:
        _warn_of_patients_not_found(entry, report)
    shifts = [each for entry in rules.entries for each in entry.transformations if isinstance(each, ShiftDateTime)]
    _check_offsets(shifts, report)
    for shift in shifts:
        _warn_of_days_that_stay(shift, report)


def _warn_of_exceptions(entry: Entry, report: Report) -> None:
    """Name what KeepTags exempts: it is sent on as it came."""
    if entry.profile is None or not entry.profile.keep:
        return
    names = ", ".join(pattern.text for selector in entry.profile.keep for pattern in selector.patterns)
    report.warn(Node(entry.profile.line, 1), f"KeepTags exempts elements from the profile: {names}")


def _check_offsets(shifts: list[ShiftDateTime], report: Report) -> None:
    """Under PreserveIntervals all rules of a scope share one offset, so they must agree on its limit."""
    first: dict[str | None, ShiftDateTime] = {}
    for shift in shifts:
        if not shift.preserve_intervals:
            continue
        other = first.setdefault(shift.reuse_mapping, shift)
        if other.shift_by != shift.shift_by:
            report.error(
                shift.place,
                f"ShiftBy is {shift.shift_by} here and {other.shift_by} on line {other.line}: rules with "
                f"PreserveIntervals and ReuseMapping: {shift.reuse_mapping} share one offset",
            )


def _check_projects(entries: Sequence[Entry], report: Report) -> None:
    """Refuse what would quarantine every instance of a project: two projects, or two rules for one element."""
    for entry in entries:
        for rule in _texts(entry):
            if rule.project is None:
                continue
            for other in (each for near in entries if _always_with(near, entry) for each in _texts(near)):
                if other.project not in (None, rule.project):
                    problem = f"Project is {rule.project} here and {other.project} on line {other.line}"
                elif other is not rule and _share_a_tag(rule, other):
                    problem = f"this changes the same element as the rule on line {other.line}, and is for a project"
                else:
                    continue
                report.error(rule.place, f"{problem}, for the same instances: set their scopes apart (ExceptLabels)")
                break


def _texts(entry: Entry) -> list[RandomizeText]:
    return [rule for rule in entry.transformations if isinstance(rule, RandomizeText)]


def _warn_of_patients_not_found(entry: Entry, report: Report) -> None:
    """Withdrawals find the instances of a patient by the one pseudonym of the whole Patient ID."""
    for rule in _texts(entry):
        if not Selectors([rule.selector()]).top.matching(_PATIENT_ID):
            continue
        if rule.split is not None:
            cause = "with Split its parts are replaced"
        elif rule.reuse_mapping not in ("Always", "SamePatient"):
            cause = "ReuseMapping is neither Always nor SamePatient"
        else:
            continue
        report.warn(rule.place, f"PatientID gets no pseudonym of its own, so withdraw finds no instances: {cause}")


def _always_with(other: Entry, entry: Entry) -> bool:
    """Tell whether an entry is in force wherever another one is."""
    same = other.scope == entry.scope
    return same or (ALL in other.scope.labels and other.scope.except_labels <= entry.scope.except_labels)


def _share_a_tag(rule: RandomizeText, other: RandomizeText) -> bool:
    """Tell whether both rules are for an element that one of them names."""
    named = {pattern.exact_tag for pattern in (*rule.tag_patterns, *other.tag_patterns)}
    heads = [_Head(tag, DicomDictionary[tag][0], DicomDictionary[tag][4]) for tag in named if tag in DicomDictionary]
    level = Selectors([rule.selector(), other.selector()]).top
    return any(len(level.matching(head)) > 1 for head in heads)


def _warn_of_days_that_stay(shift: ShiftDateTime, report: Report) -> None:
    """Warn where a time moves by seconds within the day, so that the date stands as it was."""
    if shift.preserve_intervals or shift.shift_by >= SECONDS_PER_DAY:
        return
    matched = sorted({vr for pattern in shift.tag_patterns for vr in ("DT", "TM") if _can_match(pattern, vr)})
    if matched:
        report.warn(
            shift.place,
            f"{' and '.join(matched)} move by at most {shift.shift_by} seconds, so dates in DT hardly change: set "
            f"PreserveIntervals, or ShiftBy to {SECONDS_PER_DAY} or more for them",
        )


@dataclass
class _Head:
    """An element as patterns see it."""

    tag: int
    vr: str
    keyword: str
    creator: str = ""


_PATIENT_ID = _Head(0x00100020, "LO", "PatientID")


@cache
def _heads(vr: str) -> tuple[_Head, ...]:
    """Return an element for each of the standard's tags of a VR, and a private one."""
    return (_Head(0x00091001, vr, ""), *_standard_heads(vr))


def _standard_heads(vr: str) -> Iterator[_Head]:
    for tag, entry in DicomDictionary.items():
        if vr in entry[0].split(" or "):
            yield _Head(tag, vr, entry[4])


def _can_match(pattern: TagPattern, vr: str) -> bool:
    return any(pattern.parts[-1](head) for head in _heads(vr))
