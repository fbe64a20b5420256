"""Which rule decides about an element of a file, and why: what the engine did, beside what the patterns name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from common.dicom_scan import DataSet, Element, Scan, scan
from common.errors import InvalidDicomError
from common.tag_patterns import Level, Selectors
from common.tags import format_tag, keyword_of
from deidentifier.deidentify import Deidentifier
from deidentifier.labels import match_labels
from deidentifier.mappings import MemoryMappings
from deidentifier.program import Program, Programs
from deidentifier.rewrite import Finding
from deidentifier.rules import Rules, Scope
from deidentifier.transformations import Transformation

KEPT = "kept"
_UNNAMED = "no rule names it"
_SOP_CLASS = 0x00080016


@dataclass(frozen=True)
class Line:
    """One element: its path with item numbers, its VR, what becomes of it, and why. No values."""

    path: str
    vr: str
    outcome: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} {self.vr}: {self.outcome}: {self.why}"


@dataclass(frozen=True)
class Explanation:
    """What rules make of a file.

    ``scope`` says in a sentence whether it is sent on, ``rules`` describes those that act on it, and ``lines`` has its
    elements, without those inside a sequence that goes as a whole; a file that is discarded has neither.
    """

    labels: tuple[str, ...]
    scope: str
    rules: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()


def explain(rules: Rules, data: bytes, *, max_inflated: int) -> Explanation:
    """Explain what rules do to a file, and why.

    Raises
    ------
    InvalidDicomError
        The bytes are not DICOM, or damaged.
    QuarantineError
        A person would have to look at it.
    """
    original = scan(data, max_inflated=max_inflated)
    labels = match_labels(rules.labels, original)
    shown, scope = tuple(sorted(labels)), _explain_scope(rules.scope_to_forward, labels)
    if not rules.scope_to_forward.holds(labels):
        return Explanation(shown, scope)
    outcome = Deidentifier(rules, MemoryMappings(), max_inflated=max_inflated, checks_leaks=False).deidentify(data)
    program = Programs(rules).program(labels, original.text(_SOP_CLASS))
    acting = _acting(program)
    described = [f"{_name(rule)}: {rule.describe()}" for rule in acting]
    if program.transcode:
        described.append(f"Transcode: the result is written in {program.transcode}.")
    if program.profile is not None:
        options = ", ".join(sorted(program.profile.options)) or "no options"
        described.insert(0, f"Profile:{program.profile.line}: the Basic Profile with {options}; rules come before it.")
    unnamed = _UNNAMED if program.profile is None else "the profile leaves it as it is, and no rule names it"
    lines = _lines(original, acting, outcome.report)
    shown_lines = (replace(line, why=unnamed) if line.why == _UNNAMED else line for line in lines)
    return Explanation(shown, scope, tuple(described), tuple(shown_lines))


def _explain_scope(scope: Scope, labels: frozenset[str]) -> str:
    excluded = sorted(scope.except_labels & labels)
    if excluded:
        return f"out of scope, it is discarded: excluded by {', '.join(excluded)}"
    included = sorted(scope.labels & labels)
    if included:
        return f"in scope, it is sent on: included by {', '.join(included)}"
    return "out of scope, it is discarded: none of its labels is included"


def _acting(program: Program) -> list[Transformation]:
    """Return the rules that act on the file, in the order in which they are applied."""
    after = program.plan_after.rules if program.plan_after else ()
    return [*program.plan.rules, *program.pixels, *after]


def _name(rule: Transformation) -> str:
    return f"{rule.NAME}:{rule.line}"


def _lines(original: Scan, rules: list[Transformation], findings: list[Finding]) -> Iterator[Line]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.path, []).append(finding)
    selectors = Selectors([rule.selector() for rule in rules])
    names = [_name(rule) for rule in rules]
    yield from _walk(original.dataset, selectors.top, names, found, "")
    for path, made in found.items():  # what is left was not in the original
        for finding in made:
            rule = ", ".join(finding.rules)
            yield Line(path, finding.vr, finding.outcome, "; ".join([*([rule] if rule else []), *finding.notes]))


def _walk(
    dataset: DataSet, level: Level, names: list[str], found: dict[str, list[Finding]], prefix: str
) -> Iterator[Line]:
    """Yield the elements of a data set and, of sequences that stay, of their items; takes the findings used up."""
    for element in dataset.elements:
        head = element[0]
        path = prefix + (keyword_of(head.tag) or format_tag(head.tag))
        done = found.pop(path, [])
        named = [names[number] for number in level.matching(head)]
        if done or head.tag & 0xFFFF == 0 or element[2] != element[3]:
            yield _line(path, head.vr, named, done, structural=head.tag & 0xFFFF == 0)
        else:
            yield Line(path, head.vr, KEPT, "it is empty" + (f"; named by {', '.join(named)}" if named else ""))
        if head.vr == "SQ" and not done:
            for number, item in enumerate(_items(dataset, element)):
                yield from _walk(item, level.enter(head), names, found, f"{path}[{number}].")


def _items(dataset: DataSet, element: Element) -> list[DataSet]:
    try:
        return [*dataset.items(element)]
    except InvalidDicomError:
        return []


def _line(path: str, vr: str, named: list[str], done: list[Finding], *, structural: bool) -> Line:
    if done:
        last = done[-1]
        rules = [rule for finding in done for rule in finding.rules]
        notes = [note for finding in done for note in finding.notes]
        others = [name for name in named if name not in rules]
        why = [", ".join(rules) or "goes with what it belongs to", *notes]
        if others:
            why.append(f"also named by {', '.join(others)}, which has no effect here")
        return Line(path, vr, last.outcome, "; ".join(why))
    if structural:
        return Line(path, vr, "removed", "a group length, which is never passed on")
    if named:
        return Line(path, vr, KEPT, f"named by {', '.join(named)}, which leaves it as it is")
    return Line(path, vr, KEPT, _UNNAMED)
