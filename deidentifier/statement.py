"""The conformance statement of some rules: what is done to whom, fit for a data-protection officer.

The same blocks are written as Markdown, as a page of HTML, and as plain lines for the portal's status page.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from common.dicom_head import Head
from common.tag_patterns import Selectors
from deidentifier.profiles.tables import ProfileTable, Row, read_rows
from deidentifier.program import VERSION
from deidentifier.rules import ALL, Entry, Rules, Scope

if TYPE_CHECKING:
    from deidentifier.profiles.named_entities import Recogniser

EDITION = "DICOM PS3.15 Annex E, edition 2026c (option columns of attributes older than that: 2024b)"

_OPTIONS = {
    "RetainUIDs": "UIDs of studies, series, instances and the like stay as they are.",
    "RetainDeviceIdentity": "What tells one device from another stays.",
    "RetainInstitutionIdentity": "Name and address of the institution stay.",
    "RetainPatientCharacteristics": "Sex, age, size, weight, smoking status and the like stay; texts among them are "
    "cleaned.",
    "RetainLongitudinalFullDates": "Dates and times stay as they are.",
    "RetainLongitudinalModifiedDates": "All dates of a patient move by one number of days, at random, never 0; times "
    "of day and intervals survive. The birth date goes all the same.",
    "RetainSafePrivate": "Private elements that the standard lists as safe stay, where they hold what they are for; "
    "all others go, but for those that the sender declares to be safe, where the site trusts it "
    "(RPACS_TRUST_PRIVATE_CHARACTERISTICS).",
    "CleanDescriptors": "Descriptions keep the words of a vocabulary of anatomy, protocols and findings, small numbers "
    "and numbers with units; every other word goes, and so does every word of the names, identifiers and addresses in "
    "the instance itself.",
    "CleanStructuredContent": "Content of structured reports and acquisition contexts stays, cleaned by its concepts.",
    "CleanGraphics": "Graphic annotations stay, their text cleaned. Overlays and curves go all the same: nobody can "
    "read them for text.",
    "CleanPixelData": "Text in the pixels is looked for and blackened, then looked for again; where some stays "
    "readable the instance is quarantined.",
}
_CODES = {
    "X": "removed",
    "Z": "emptied",
    "D": "replaced by a dummy value",
    "U": "UID replaced, the same everywhere",
    "K": "kept",
    "C": "cleaned: harmless words stay",
    "X/Z": "removed, or emptied where the kind of object wants it",
    "X/D": "removed, or a dummy value where the kind of object wants one",
    "X/Z/D": "removed, emptied, or a dummy value, by what the kind of object wants",
    "Z/D": "emptied, or a dummy value where the kind of object wants one",
    "X/Z/U": "removed; kept with new UIDs inside where the kind of object wants it",
}
# What cleaning is depends on the kind of value.
_CLEANED = {
    "DA": "moved with all dates of the patient",
    "DT": "moved with all dates of the patient",
    "TM": "kept with its date, which moves",
    "SQ": "cleaned inside, by its concepts",
    "OB": "removed where it cannot be cleaned",
    "OW": "removed where it cannot be cleaned",
}


@dataclass(frozen=True)
class Block:
    """A piece of the statement: a heading, a paragraph, a list, or a table with its head first."""

    kind: str
    text: str = ""
    rows: tuple[tuple[str, ...], ...] = field(default=())


def make_statement(rules: Rules, recogniser: Recogniser | None = None, *, attributes: bool = True) -> list[Block]:
    """Return the statement.

    Parameters
    ----------
    recogniser
        What finds named entities in text, where the site has that.
    attributes
        Whether every attribute of the profile is listed.
    """
    blocks = [
        Block("title", "De-identification: statement of conformance"),
        Block("text", f"Made from the rules with the SHA-256 {rules.sha256} by Research PACS {VERSION}. {EDITION}."),
        Block("heading", "Whom it is about"),
        Block("text", _forwarded(rules.scope_to_forward)),
        _list(f"{label.name}: {label.text or 'every instance'}" for label in rules.labels),
    ]
    for number, entry in enumerate(rules.entries, 1):
        blocks += [*_entry(number, entry)]
    blocks += [*_always(rules, recogniser)]
    if attributes:
        blocks += [*_attributes(rules)]
    return [block for block in blocks if block.text or block.rows]


def _list(lines: Iterator[str]) -> Block:
    return Block("list", rows=tuple((line,) for line in lines))


def _forwarded(scope: Scope) -> str:
    everything = ALL in scope.labels and not scope.except_labels
    others = "none is discarded" if everything else "all others are discarded"
    return f"{_scope(scope)} are de-identified and sent on; {others}."


def _scope(scope: Scope) -> str:
    included = "All instances" if ALL in scope.labels else f"Instances labelled {_labels(scope.labels)}"
    excluded = f", but for those labelled {_labels(scope.except_labels)}" if scope.except_labels else ""
    return included + excluded


def _labels(labels: frozenset[str]) -> str:
    return " or ".join(f"“{label}”" for label in sorted(labels)) or "with nothing that exists"


def _entry(number: int, entry: Entry) -> Iterator[Block]:
    yield Block("heading", f"{number}. {_scope(entry.scope)}")
    profile = entry.profile
    if profile is not None:
        yield Block("text", "The Basic Application Level Confidentiality Profile, with these options:")
        yield _list(f"{name}: {_OPTIONS[name]}" for name in _OPTIONS if name in profile.options)
        kept = [pattern.text for selector in profile.keep for pattern in selector.patterns]
        if kept:
            yield Block("text", f"Exempt from the profile (KeepTags): {', '.join(kept)}.")
    if entry.transformations:
        yield Block(
            "text", "A rule that changes an element replaces what the profile does to it:" if profile else "Rules:"
        )
        yield _list(rule.describe() for rule in entry.transformations)
    if entry.transcode:
        yield Block("text", f"Sent on in the transfer syntax {entry.transcode}.")


def _always(rules: Rules, recogniser: Recogniser | None) -> Iterator[Block]:
    profiled = any(entry.profile for entry in rules.entries)
    yield Block("heading", "How it is done")
    yield _list(iter((*_METHOD, *([_entities(recogniser)] if recogniser is not None else ()))))
    yield Block("heading", "What is checked")
    policy = {
        "Quarantine": "is kept back for a person to decide",
        "Redact": "loses the elements in which something was found, and is kept back if anything remains",
        "Report": "is sent on and reported",
    }[rules.on_leak or ("Quarantine" if profiled else "Report")]
    yield Block(
        "text",
        "Every result is searched for the identifying values of its original: names and their parts, identifiers, "
        "addresses and their lines, telephone numbers, institutions, the birth date, UIDs and dates that had to "
        "change, in every byte outside the pixels, also in UTF-16 and base64. A result in which one is found "
        f"{policy}.",
    )
    yield Block("heading", "What is not done")
    yield _list(iter((*(() if profiled else (_NO_PROFILE,)), *_NOT_DONE)))
    if profiled:
        yield Block("heading", "What is quarantined")
        yield _list(iter(_QUARANTINED))


def _entities(recogniser: Recogniser) -> str:
    return (
        "Words that are part of a named entity go from text that is cleaned, though the vocabulary has them: "
        f"{', '.join(recogniser.labels)}, as found by the model {recogniser.name} (name, version, SHA-256 of its "
        f"files) with {recogniser.library}. It finds many of them, not all."
    )


_METHOD = (
    "Pseudonyms and new UIDs are random, or derived from a secret key of the site (HMAC-SHA-256), and kept: the same "
    "original value gets the same new value within the scope that the rule names, UIDs everywhere, so references hold.",
    "Dummy values are the same for everybody and tell nothing: REMOVED, 0, 1 January 1900, zeros.",
    "Attributes are treated at every depth. Elements in no dictionary, overlays, curves, signatures, encrypted "
    "attributes, icons, group lengths and bytes outside the data set go, and so do comments, application data, "
    "thumbnails and bytes after the end inside compressed frames (JPEG, JPEG-LS, JPEG 2000, RLE). ICC profiles "
    "keep their colours, and lose texts and dates. The file meta information is written afresh.",
    "Who may read the mappings backwards, and each time somebody does, is recorded.",
)
_NO_PROFILE = "No confidentiality profile is in force: what the rules do not name is sent on as it came."
_NOT_DONE = (
    "Faces are not disguised: CT, MR and PT of the head can be rendered into one (Clean Recognizable Visual Features "
    "Option, not available).",
    "Rare findings, and pictures of the body, can tell who somebody is to those who know them.",
)
_QUARANTINED = (
    "Encapsulated documents (PDF, CDA, STL, OBJ, MTL), instances of private or unknown SOP classes and of none.",
    "Pixels in which text stays readable, or which cannot be decoded where they have to be read.",
    "Video, and compressed frames that are damaged: text in them beside the picture could not be excluded (KeepTags "
    "PixelData lets them pass).",
    "Instances for which the rules ask both to keep and to move dates.",
)


def _attributes(rules: Rules) -> Iterator[Block]:
    for number, entry in enumerate(rules.entries, 1):
        if entry.profile is None or not any(option for option in entry.profile.options if option in _OPTIONS):
            continue
        if entry.profile.options <= {"CleanPixelData"}:
            continue
        table = ProfileTable(entry.profile.options)
        yield Block("heading", f"Attributes under the profile of {number}")
        head = ("Tag", "Attribute", "Basic", "In force", "What happens")
        ruled = Selectors([rule.selector() for rule in entry.transformations])
        names = [rule.NAME for rule in entry.transformations]
        yield Block("table", rows=(head, *(_row(row, table, ruled, names) for row in read_rows())))


def _row(row: Row, table: ProfileTable, ruled: Selectors, names: Sequence[str]) -> tuple[str, ...]:
    code, tag = row.code(table.options), int(row.tag.replace("X", "0"), 16)
    vr = dictionary_VR(tag).split(" or ")[0] if row.keyword and dictionary_has_tag(tag) else ""
    happens = _CLEANED.get(vr, _CODES["C"]) if code == "C" else _CODES.get(code, code)
    if row.keyword == "FrameOriginTimestamp" and code == "C":
        happens = "moved with all dates of the patient"
    if row.keyword == "CertifiedTimestamp":
        happens = "removed with the signature"
    if row.keyword == "ContentSequence":
        happens = "kept; each item is treated by its concept (table E.3.4-1)"
    deciding = dict.fromkeys(names[number] for number in ruled.top.matching(Head(tag, vr, vr, 6)))
    if deciding:
        happens = f"the rule {', '.join(deciding)} decides; where it changes nothing: {happens}"
    return (f"({row.tag[:4]},{row.tag[4:]})", row.keyword or "–", row.basic, code, happens)


# ----------------------------------------------------------------------------------------------------------- writing
def as_markdown(blocks: list[Block]) -> str:
    """Write a statement as Markdown."""
    return "\n\n".join(_MARKDOWN[block.kind](block) for block in blocks) + "\n"


def _markdown_table(block: Block) -> str:
    head, *rows = block.rows
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


_MARKDOWN: dict[str, Callable[[Block], str]] = {
    "title": lambda block: f"# {block.text}",
    "heading": lambda block: f"## {block.text}",
    "text": lambda block: block.text,
    "list": lambda block: "\n".join(f"* {row[0]}" for row in block.rows),
    "table": _markdown_table,
}


def as_text(blocks: list[Block]) -> str:
    """Write a statement as plain lines."""
    lines = []
    for block in blocks:
        lines += [block.text] if block.text else [f"- {row[0]}" for row in block.rows]
    return "\n".join(lines)


def as_html(blocks: list[Block]) -> str:
    """Write a statement as a page."""
    body = "\n".join(_HTML[block.kind](block) for block in blocks)
    return _PAGE.format(title=html.escape(blocks[0].text), body=body)


def _html_table(block: Block) -> str:
    head, *rows = block.rows
    cells = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in head)
    lines = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    return (
        f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody></table>"
    )


_HTML: dict[str, Callable[[Block], str]] = {
    "title": lambda block: f"<h1>{html.escape(block.text)}</h1>",
    "heading": lambda block: f"<h2>{html.escape(block.text)}</h2>",
    "text": lambda block: f"<p>{html.escape(block.text)}</p>",
    "list": lambda block: f"<ul>{''.join(f'<li>{html.escape(row[0])}</li>' for row in block.rows)}</ul>",
    "table": _html_table,
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b }}
h1, h2 {{ line-height: 1.2 }} h2 {{ margin-top: 2rem; border-bottom: 1px solid #bbb; padding-bottom: .2rem }}
p, li {{ overflow-wrap: anywhere }}
table {{ border-collapse: collapse; font-size: 13px; width: 100% }} th {{ text-align: left }}
th, td {{ border-bottom: 1px solid #ddd; padding: .2rem .5rem; vertical-align: top }}
thead {{ display: table-header-group }} tr {{ break-inside: avoid }}
</style></head><body>
{body}
</body></html>
"""
