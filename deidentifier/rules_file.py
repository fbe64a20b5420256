"""Reading a rules file: its schema as data, and the checks that look across it.

The keys of each transformation are declared by its class (:mod:`deidentifier.transformations`); what stands here is
the frame around them. All problems of a file are reported at once, each at its line and column; what is legal but
perhaps not meant becomes a warning. :func:`json_schema` is made of the same declarations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from common.errors import RulesError
from common.query import Node as Query
from common.query import parse as parse_query
from common.tag_patterns import Selector
from common.yaml_file import Node, Report, parse_yaml
from common.yaml_kinds import INVALID, ListOf, OneOf, Schema, Text, did_you_mean
from common.yaml_records import Field, Record, Values
from deidentifier.profiles.tables import OPTIONS
from deidentifier.rules import ALL, Entry, Label, Profiled, Rules, Scope
from deidentifier.rules_warnings import add_warnings
from deidentifier.transformations import TRANSFORMATIONS, Transformation
from deidentifier.transformations.base import PATTERNS
from deidentifier.transformations.transcode import TRANSFER_SYNTAX

_NAMES = ListOf(Text(), single=True)

LABEL = Record(
    (
        Field("Name", Text(), "Name of the label, as scopes use it.", mandatory=True),
        Field(
            "DICOMQueryFilter",
            Text(parse_query, empty=True, expected="a query"),
            "Query that the original has to match; absent or empty, every instance matches.",
            default=parse_query(""),
        ),
    ),
    expected="a label with its Name",
    help="A name for the instances that a query matches.",
)

CATEGORY = Record(
    (
        Field("Name", Text(), "Name of the category, as scopes use it.", mandatory=True),
        Field("Labels", _NAMES, "Labels that the category stands for.", mandatory=True),
    ),
    expected="a category with its Name and Labels",
    help="A name for a set of labels.",
)

SCOPE = Record(
    (
        Field("Labels", _NAMES, "In scope is an instance with one of these labels; ALL is every instance.", default=()),
        Field(
            "ExceptLabels",
            _NAMES,
            "Out of scope is an instance with one of these labels, whatever else it has.",
            default=(),
            spellings=("NotLabels",),
        ),
        Field("Categories", _NAMES, "As Labels, by category.", default=()),
        Field("ExceptCategories", _NAMES, "As ExceptLabels, by category.", default=(), spellings=("NotCategories",)),
    ),
    expected="a scope with Labels, ExceptLabels, Categories, ExceptCategories",
    help="Whom something is for. An exclusion always wins.",
)


NO_FACES = (
    "CleanRecognizableVisualFeatures is not available: no method that disguises faces leaves the measurements of a "
    "head as they are; the statement of what was done says so for head CT, MR and PT"
)


def parse_option(text: str) -> str:
    """Parse the name of an option of the profile.

    Raises
    ------
    ValueError
        There is no such option, or it is refused.
    """
    if text == "CleanRecognizableVisualFeatures":
        raise ValueError(NO_FACES)
    if text not in OPTIONS:
        raise ValueError(f"{text}: no option of the profile{did_you_mean(text, list(OPTIONS))}")
    return text


KEEP_TAGS = Record(
    (
        Field("TagPatterns", PATTERNS, "Elements that the profile leaves alone.", mandatory=True),
        Field(
            "ExceptTagPatterns",
            PATTERNS,
            "Elements that it acts on all the same.",
            default=(),
            spellings=("NotTagPatterns",),
        ),
    ),
    expected="TagPatterns",
    help="Elements that the profile leaves alone; the contents of a sequence are treated all the same.",
)


@cache
def entry_kind() -> Record:
    """Return the kind of an entry of ``Transformations``."""
    transformations = [Field(cls.NAME, ListOf(cls.kind()), cls.summary(), default=()) for cls in TRANSFORMATIONS]
    return Record(
        (
            Field("Scope", SCOPE, "Whom these transformations are for.", mandatory=True),
            Field("Profile", OneOf(("Basic",)), "The DICOM confidentiality profile of PS3.15 Annex E."),
            Field(
                "Options",
                ListOf(Text(parse_option, pattern=f"^({'|'.join(OPTIONS)})$", expected="an option")),
                "Options of the profile; those of several matching entries are united.",
                default=(),
            ),
            Field("KeepTags", ListOf(KEEP_TAGS), "Elements that the profile leaves alone.", default=()),
            *transformations,
            Field("Transcode", TRANSFER_SYNTAX, "Transfer syntax UID that the result is sent on in."),
        ),
        expected="an entry with its Scope",
        help="What is done to the instances in a scope.",
    )


@cache
def file_kind() -> Record:
    """Return the kind of the whole file."""
    return Record(
        (
            Field("Labels", ListOf(LABEL), "Names for instances, by query; may be empty.", mandatory=True),
            Field("Categories", ListOf(CATEGORY), "Names for sets of labels.", default=()),
            Field(
                "ScopeToForward",
                SCOPE,
                "Who is de-identified and sent on; all others are discarded.",
                mandatory=True,
            ),
            Field(
                "OnLeak",
                OneOf(("Quarantine", "Redact", "Report")),
                "What follows when an identifying value of the original is found in the result; without it, Quarantine "
                "where a profile is in force, else Report.",
            ),
            Field("Transformations", ListOf(entry_kind()), "What is done, to whom; may be empty.", mandatory=True),
        ),
        expected="Labels, ScopeToForward and Transformations",
        help="What the de-identifier does with each incoming DICOM instance.",
    )


def json_schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a rules file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rules file of Research PACS",
        **file_kind().schema(),
    }


def load_rules(data: bytes | str, file: str = "rules") -> Rules:
    """Read a rules file.

    Parameters
    ----------
    data
        The file.
    file
        Its name in messages.

    Returns
    -------
    Rules
        With the warnings there are.

    Raises
    ------
    RulesError
        Holds every problem of the file, in file order.
    """
    report = Report(file)
    raw = data.encode() if isinstance(data, str) else data
    root = parse_yaml(raw, report)
    if root is None and not report.problems:
        report.error(Node(1, 1), "the file is empty")
    values = file_kind().read(root, report) if root is not None else INVALID
    rules = _build(values, hashlib.sha256(raw).hexdigest(), report) if isinstance(values, Values) else None
    if rules is None or report.errors:
        raise RulesError(report.errors)
    return replace(rules, warnings=tuple(report.warnings))


def _build(values: Values, sha256: str, report: Report) -> Rules:
    """Make the rules of what was read, resolving names; goes on past errors to find them all."""
    names = _Names(values, report)
    entries = []
    for value in values["Transformations"]:
        scope = names.scope(value["Scope"])
        found = tuple(transformations_of(value))
        transcode = value["Transcode"] if value["Transcode"] is not INVALID else None
        entries.append(Entry(scope, found, transcode, value.node.line, _profile_of(value, report)))
    rules = Rules(
        labels=tuple(names.labels.values()),
        scope_to_forward=names.scope(values["ScopeToForward"]),
        entries=tuple(entries),
        on_leak=values["OnLeak"] or None,
        sha256=sha256,
    )
    add_warnings(rules, values, names.used, report)
    return rules


def _profile_of(entry: Values, report: Report) -> Profiled | None:
    """Return the profile that an entry asks for, with its options."""
    given = entry.node.entries
    if not entry["Profile"]:
        for name in ("Options", "KeepTags"):
            if name in given:
                report.error(given[name][0], f"{name} needs Profile: Basic beside it")
        return None
    options = frozenset(option for option in entry["Options"] or () if option is not INVALID)
    if options >= {"RetainLongitudinalFullDates", "RetainLongitudinalModifiedDates"}:
        report.error(
            given["Options"][0],
            "RetainLongitudinalFullDates and RetainLongitudinalModifiedDates exclude each other: dates are either kept "
            "or moved",
        )
    keep = tuple(
        Selector(each["TagPatterns"], each["ExceptTagPatterns"])
        for each in entry["KeepTags"] or ()
        if each is not INVALID and INVALID not in (each["TagPatterns"], each["ExceptTagPatterns"])
    )
    return Profiled(options, keep, given["Profile"][0].line)


def transformations_of(entry: Values) -> Iterator[Transformation]:
    """Yield the transformations of an entry that were read, by type, in file order."""
    for cls in TRANSFORMATIONS:
        yield from entry[cls.NAME] or ()


class _Names:
    """The labels and categories of a file, and which of them scopes use."""

    def __init__(self, values: Values, report: Report) -> None:
        self.report = report
        self.used: set[str] = set()
        self.labels: dict[str, Label] = {}
        self.categories: dict[str, frozenset[str]] = {}
        for value in values["Labels"]:
            self._add_label(value)
        for value in values["Categories"] or ():
            self._add_category(value)

    def _add_label(self, value: Values) -> None:
        name, query = value["Name"], value["DICOMQueryFilter"]
        if name == ALL:
            self.report.error(value.at("Name"), f"{ALL} is the label of every instance, it needs no definition")
        elif name in self.labels:
            self.report.error(value.at("Name"), f"the label {name} is defined a second time")
        else:
            text = getattr(value.node.entries.get("DICOMQueryFilter", (None, None))[1], "text", "")
            known: Query = query if query is not INVALID else parse_query("")
            self.labels[name] = Label(name, text, known)

    def _add_category(self, value: Values) -> None:
        if value["Name"] in self.categories:
            self.report.error(value.at("Name"), f"the category {value['Name']} is defined a second time")
        self.categories[value["Name"]] = self._labels(value, "Labels")

    def scope(self, value: Values) -> Scope:
        """Return a scope with its categories as their labels."""
        included = self._labels(value, "Labels") | self._members(value, "Categories")
        excluded = self._labels(value, "ExceptLabels") | self._members(value, "ExceptCategories")
        self.used |= included | excluded
        if not included:
            self.report.warn(value.node, "this scope names no Labels and no Categories, so it matches nothing")
        return Scope(included, excluded)

    def _labels(self, value: Values, key: str) -> frozenset[str]:
        known = [ALL, *self.labels]
        return frozenset(self._known(value, key, known, "label"))

    def _members(self, value: Values, key: str) -> frozenset[str]:
        names = self._known(value, key, list(self.categories), "category")
        return frozenset().union(*(self.categories[name] for name in names))

    def _known(self, value: Values, key: str, known: list[str], what: str) -> Iterator[str]:
        for node in value.items_at(key):
            name = getattr(node, "text", None)
            if name in known:
                yield name
            elif name:
                self.report.error(node, f"{name}: there is no such {what}{did_you_mean(name, known)}")
