"""Which rule decides about an element of a file, and why: what the engine did, beside what the patterns name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from common.dicom_dataset import DataSet, Element
from common.dicom_scan import Scan
from common.errors import InvalidDicomError
from common.tag_patterns import Level, Selectors
from common.tags import format_tag, keyword_of
from deidentifier.builder import DeidentifierBuilder
from deidentifier.deidentify import Outcome
from deidentifier.finding import Finding
from deidentifier.leaks import LeakError
from deidentifier.offline.words import CleanedText, cleaned_texts, summary
from deidentifier.profiles.identity import Word
from deidentifier.program import Program
from deidentifier.rules import Rules, Scope
from deidentifier.transformations import Transformation

KEPT = "kept"
_UNNAMED = "no rule names it"


@dataclass(frozen=True)
class Line:
    """One element: its path with item numbers, its VR, what becomes of it, and why. No values.

    ``words`` are those of a text that was cleaned word by word; they are values, and shown by nothing here.
    """

    path: str
    vr: str
    outcome: str
    why: str
    words: tuple[Word, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return f"{self.path} {self.vr}: {self.outcome}: {self.why}"


@dataclass(frozen=True)
class Explanation:
    """What rules make of a file.

    ``scope`` says in a sentence whether it is sent on, ``rules`` describes those that act on it, and ``lines`` has its
    elements, without those inside a sequence that goes as a whole; a file that is discarded has neither. ``leaks`` says
    what the check of the result found, and what follows.
    """

    labels: tuple[str, ...]
    scope: str
    rules: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    leaks: tuple[str, ...] = ()


def explain(builder: DeidentifierBuilder, rules: Rules, data: bytes) -> Explanation:
    """Explain what rules do to a file, and why; with the engine that workers use.

    Raises
    ------
    InvalidDicomError
        The bytes are not DICOM, or damaged.
    QuarantineError
        A person would have to look at it, before it comes to the check of the result.
    """
    engine = builder.build(rules)
    try:
        outcome, leaks = _checked(engine.deidentify(data), rules)
    except LeakError as exc:
        outcome = builder.build(rules, checks_leaks=False).deidentify(data)
        leaks = ("The result is quarantined, for it holds identifying values of the original:", *_found(exc.findings))
    shown, scope = tuple(sorted(outcome.labels)), _explain_scope(rules.scope_to_forward, outcome.labels)
    if outcome.work is None:
        return Explanation(shown, scope)
    original = outcome.work.original
    program = engine.program(original, outcome.labels)
    acting = _acting(program)
    described = [f"{_name(rule)}: {rule.describe()}" for rule in acting]
    if program.transcode:
        described.append(f"Transcode: the result is written in {program.transcode}.")
    if program.profile is not None:
        options = ", ".join(sorted(program.profile.options)) or "no options"
        described.insert(0, f"Profile:{program.profile.line}: the Basic Profile with {options}; rules come before it.")
    unnamed = _UNNAMED if program.profile is None else "the profile leaves it as it is, and no rule names it"
    lines = _lines(original, acting, outcome.work.findings())
    texts = dict(cleaned_texts(outcome.work))
    shown_lines = (_with_words(line, texts.get(line.path), unnamed) for line in lines)
    return Explanation(shown, scope, tuple(described), tuple(shown_lines), leaks)


def _checked(outcome: Outcome, rules: Rules) -> tuple[Outcome, tuple[str, ...]]:
    """Return an outcome that passed the check of the result, and what the check found nevertheless."""
    if not outcome.leaks:
        return outcome, ()
    follows = "those elements are emptied" if rules.on_leak == "Redact" else "it is sent on, and reported"
    head = f"The result holds identifying values of the original; {follows}:"
    return outcome, (head, *_found([leak.as_record() for leak in outcome.leaks]))


def _found(findings: Sequence[dict[str, str]]) -> Iterator[str]:
    for finding in findings:
        yield f"{finding['path']}: {finding['class']}, left there by {finding['rule']}"


def _with_words(line: Line, text: CleanedText | None, unnamed: str) -> Line:
    """Say of a text that was cleaned which of its words stay, of an element that nothing names that this is so."""
    why = line.why
    if why == _UNNAMED:
        why = text.reason if text is not None and text.reason else unnamed
    if text is None or not text.words:
        return replace(line, why=why)
    return replace(line, why=f"{why}; {summary(text.words)}", words=text.words)


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
