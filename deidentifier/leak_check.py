"""What is expected of a result under some rules, and what follows where an identifying value is found in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from common.dicom_head import Head
from common.dicom_scan import Scan, scan
from common.tag_patterns import parse_tag_pattern
from deidentifier.file_meta import DicomFile
from deidentifier.finding import Finding
from deidentifier.instance import Instance
from deidentifier.leaks import Expectation, Leak, LeakError, find_leaks
from deidentifier.plan import Plan
from deidentifier.program import Program
from deidentifier.transformations.delete_tags import DeleteTags
from deidentifier.work import Work

_METHOD = (0x00120062, 0x00120063, 0x00120064, 0x00280303)


class LeakCheck:
    """Looks for leaks in the result of one instance.

    Parameters
    ----------
    on_leak
        ``Quarantine``, ``Redact`` or ``Report``; None: as it is fit for the program.
    """

    def __init__(self, on_leak: str | None, program: Program, instance: Instance, original: Scan) -> None:
        self._program, self._instance, self._original = program, instance, original
        self._policy = on_leak or ("Quarantine" if program.profile is not None else "Report")

    def check(self, work: Work, result: DicomFile) -> tuple[DicomFile, list[Leak]]:
        """Return the result, redacted where that is asked for, and what was found.

        Raises
        ------
        LeakError
            Something was found, and the instance is to be quarantined.
        """
        found = self._find(work, result)
        if not found or self._policy == "Report":
            return result, found
        if self._policy == "Redact":
            result = redact(result, found, self._instance)
            left = self._find(work, result)
            if not left:
                return result, found
            found = left
        raise LeakError(found, result.data)

    def _find(self, work: Work, result: DicomFile) -> list[Leak]:
        options = self._program.profile.options if self._program.profile is not None else frozenset()
        dates = self._program.profile is not None and "RetainLongitudinalFullDates" not in options
        decided = _Decided(work)
        expected = Expectation(work.replaced_uids(), dates, self._on_purpose, decided.rule)
        leaks = find_leaks(self._original, self._instance.collected, result, expected)
        return [leak for leak in leaks if not decided.written(leak.path)]

    def _on_purpose(self, heads: tuple[Head, ...]) -> bool:
        """Tell whether the profile or KeepTags keeps an element as it is."""
        profile = self._program.profile
        if heads[0].tag in _METHOD:
            return True
        if profile is None:
            return False
        return profile.table.code(heads[-1].tag) == "K" or self._program.keeps(heads)


class _Decided:
    """Which rule decided about an element of the result; worked out where somebody asks."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._findings: dict[str, Finding] | None = None

    def rule(self, path: str) -> str:
        """Return the rules that decided, in the words of the report."""
        found = self._by_path.get(path)
        return ", ".join(found.rules) if found else "no rule"

    def written(self, path: str) -> bool:
        """Tell whether AddTags wrote the element: what the rules write is theirs."""
        return any(rule.startswith("AddTags:") for rule in self.rule(path).split(", "))

    @property
    def _by_path(self) -> dict[str, Finding]:
        if self._findings is None:
            self._findings = {finding.path: finding for finding in self._work.findings()}
        return self._findings


def redact(result: DicomFile, leaks: Sequence[Leak], instance: Instance) -> DicomFile:
    """Empty the elements of a result in which something was found; those of all items of a sequence together."""
    paths = {re.sub(r"\[\d+\]", "", leak.path) for leak in leaks if " " not in leak.path}
    if not paths:
        return result
    patterns = tuple(parse_tag_pattern(path) for path in sorted(paths))
    plan = Plan([DeleteTags(tag_patterns=patterns, except_tag_patterns=(), action="Empty")])
    work = Work(scan(result.data), instance)
    work.rewrite(plan)
    return work.file()
