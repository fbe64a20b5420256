"""The compiled plan gives what a naive interpreter gives that applies one rule after another to a whole data set."""

from __future__ import annotations

import fnmatch
import io
import itertools
import re
from typing import Any

import pydicom
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.rules_file import load_rules
from deidentifier.transformations.randomize_text import legal_value

# --- the naive interpreter -------------------------------------------------------------------------------------------


class Reference:
    """Applies rules as their specification reads: transformation after transformation, rule after rule."""

    ORDER = ("ShiftDateTime", "RandomizeText", "RandomizeUID", "AddTags", "DeleteTags")
    # One count for all: a store of mappings takes a value once only.
    numbers = itertools.count(1)

    def __init__(self, entry: dict[str, Any], mappings: MemoryMappings) -> None:
        self.entry = entry
        self.mappings = mappings

    def apply(self, dataset: Dataset) -> Dataset:
        self.patient = str(dataset.get("PatientID", "") or "")
        self.fallbacks = [("SamePatient", self.patient), ("SameStudy", str(dataset.get("StudyInstanceUID", "") or ""))]
        self.fallbacks.append(("SameInstance", str(dataset.SOPInstanceUID)))
        for name in self.ORDER:
            for rule in self.entry.get(name, []):
                if name == "AddTags":
                    self.add(dataset, rule, rule["Tag"].split("."))
                else:
                    self.walk(dataset, rule, getattr(self, name), [])
        return dataset

    def walk(self, dataset: Dataset, rule, action, path) -> None:
        for tag in list(dataset.keys()):
            element = dataset[tag]
            here = [*path, (element, creator_of(dataset, element))]
            matched = matches(rule["TagPatterns"], here) and not matches(rule.get("ExceptTagPatterns", []), here)
            if element.tag == 0x00080005:  # says how the text is encoded; no rule changes that
                continue
            if matched and not is_creator(element):
                action(dataset, element, rule)
            elif matched and rule.get("Action") == "Remove" and not block(dataset, element):
                del dataset[tag]
            if tag in dataset and dataset[tag].VR == "SQ":
                for item in dataset[tag].value:
                    self.walk(item, rule, action, here)

    def mapped(self, kind: str, reuse: str, original: str) -> str:
        scope = ("Always", "")
        if reuse != "Always":
            names = ["SamePatient", "SameStudy", "SameInstance"]
            scope = next(each for each in self.fallbacks[names.index(reuse) :] if each[1])
        # The engine draws nothing for a value that a later rule takes away, so some are still to be drawn here.
        number = next(self.numbers)
        proposal = {"UID": f"2.25.{number}", "TEXT": f"R{number:07}", "DA": "19000101", "TM": "000000"}[kind]
        return self.mappings.fetch_or_create({(kind, *scope, original): proposal})[(kind, *scope, original)]

    def ShiftDateTime(self, dataset, element, rule) -> None:
        if element.VR in ("DA", "TM"):
            change(element, lambda value: self.mapped(element.VR, rule["ReuseMapping"], value))

    def RandomizeText(self, dataset, element, rule) -> None:
        if element.VR == "UI":
            self.RandomizeUID(dataset, element, rule)
        elif element.VR in ("DA", "TM"):
            change(element, lambda v: legal_value(element.VR, self.mapped("TEXT", rule["ReuseMapping"], v)))
        elif element.VR in ("LO", "LT", "PN"):
            change(element, lambda value: self.mapped("TEXT", rule["ReuseMapping"], value))
        elif element.VR == "CS":
            change(element, lambda value: self.mapped("TEXT", rule["ReuseMapping"], value).upper())
        else:
            empty(element)

    def RandomizeUID(self, dataset, element, rule) -> None:
        if element.VR == "UI" and not element.keyword.endswith("ClassUID"):
            change(element, lambda v: v if v.startswith("1.2.840.10008.") else self.mapped("UID", "Always", v))

    def DeleteTags(self, dataset, element, rule) -> None:
        if element.tag == 0x00080005:
            return
        if rule["Action"] == "Empty":
            empty(element)
            return
        owner = creator_element(dataset, element)
        del dataset[element.tag]
        if owner is not None and not block(dataset, owner):
            del dataset[owner.tag]

    def add(self, dataset: Dataset, rule, steps) -> None:
        found = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", steps[0])
        tag = pydicom.tag.Tag(found[1])
        if len(steps) > 1:
            for number, item in enumerate(dataset[tag].value if tag in dataset else []):
                if found[2] in (None, str(number)):
                    self.add(item, rule, steps[1:])
        elif tag not in dataset or rule.get("OverwriteIfExists"):
            dataset.add_new(tag, rule["VR"], rule["Value"])


def is_creator(element) -> bool:
    return element.tag.is_private_creator


def creator_element(dataset, element):
    if not element.tag.is_private or is_creator(element):
        return None
    return dataset.get((element.tag.group, element.tag.element >> 8))


def creator_of(dataset, element) -> str:
    owner = creator_element(dataset, element)
    return "" if owner is None else str(owner.value)


def block(dataset, creator) -> list:
    first = (creator.tag.group << 16) + (creator.tag.element << 8)
    return [element.tag for element in dataset if first <= element.tag <= first + 0xFF]


def empty(element) -> None:
    element.value = Sequence() if element.VR == "SQ" else (b"" if element.VR in ("OB", "UN") else None)


def change(element, replace) -> None:
    if element.is_empty:
        return
    values = list(element.value) if element.VM > 1 else [element.value]
    element.value = [replace(str(value)) if str(value) else "" for value in values]


def matches(patterns, path) -> bool:
    return any(matches_one(pattern, path) for pattern in patterns)


def matches_one(pattern: str, path) -> bool:
    prefix, text = (pattern[:2], pattern[2:]) if pattern[:2] in ("*/", "+/") else ("", pattern)
    parts = re.split(r"\.(?![^{]*\})", text)
    if len(parts) > len(path) or (prefix == "" and len(parts) != len(path)):
        return False
    if prefix == "+/" and len(parts) == len(path):
        return False
    return all(part_matches(part, *step) for part, step in zip(parts, path[len(path) - len(parts) :], strict=True))


def part_matches(part: str, element, creator: str) -> bool:
    tag = f"{element.tag:08X}"
    if found := re.fullmatch(r"(.{4})\{(.*)\}(.{2})", part):
        return creator == found[2] and tag.startswith(found[1]) and (found[3] == "XX" or tag.endswith(found[3]))
    if part.startswith("{"):
        return part[1:-1] == element.VR
    if re.fullmatch(r"[0-9A-FX@]{8}", part):
        return all(p in ("X", t) or (p == "@" and t in "13579BDF") for p, t in zip(part, tag, strict=True))
    return bool(element.keyword) and fnmatch.fnmatchcase(element.keyword, part)


# --- random data sets and rules --------------------------------------------------------------------------------------

VALUES = {
    "StudyDate": ["20240131", "19991231", ""],
    "StudyTime": ["101010", "0930", ""],
    "PatientName": ["Doe^Jane", "Müller^Jürgen", ""],
    "PatientID": ["P1", "P2", ""],
    "OtherPatientNames": [["A^B", "C^D"], "E^F"],
    "StudyDescription": ["chest", "", "a b c"],
    "ImageType": [["ORIGINAL", "PRIMARY"], "DERIVED"],
    "StudyInstanceUID": ["1.2.3", "1.2.4"],
    "ReferencedSOPClassUID": ["1.2.3.4", "1.2.840.10008.5.1.4.1.1.2"],
    "ReferencedSOPInstanceUID": ["1.2.3.5", "1.2.840.10008.1.1"],
    "Rows": [1, 512],
}
SEQUENCES = ("ReferencedImageSequence", "RequestAttributesSequence", "ContentSequence")
PATTERNS = [
    "StudyDate", "*/StudyDate", "+/*Date", "*/{DA}", "*/{TM}", "PatientName", "*/{PN}", "*/Patient*", "*Description",
    "*/{UI}", "*/*InstanceUID", "00100010", "0010XXXX", "*/0008XXXX", "*/XXX@XXXX", "0029{MAKER ONE}XX",
    "*/0029{MAKER TWO}01",
    "0029XXXX", "ReferencedImageSequence", "*/ContentSequence", "ReferencedImageSequence.PatientID", "*/{SQ}",
    "+/ContentSequence.*", "RequestAttributesSequence.ContentSequence.StudyDescription", "*/{LO}", "*/{CS}",
    "*/{US}", "*/{OB}",
]  # fmt: skip
TEXT_PATTERNS = [p for p in PATTERNS if "Sequence" not in p or p.count(".")]


def plain_elements():
    return st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in VALUES.items()})


def private_elements():
    return st.dictionaries(
        st.tuples(st.sampled_from(["MAKER ONE", "MAKER TWO"]), st.integers(0, 3)),
        st.sampled_from(["x1", ""]),
        max_size=4,
    )


def datasets():
    flat = st.builds(make, plain_elements(), private_elements(), st.just({}))
    return st.recursive(
        flat,
        lambda inner: st.builds(
            make,
            plain_elements(),
            private_elements(),
            st.dictionaries(st.sampled_from(SEQUENCES), st.lists(inner, max_size=2), max_size=2),
        ),
        max_leaves=5,
    )


def make(plain, private, sequences) -> Dataset:
    dataset = Dataset()
    for keyword, value in plain.items():
        setattr(dataset, keyword, value)
    for (creator, offset), value in private.items():
        dataset.private_block(0x0029, creator, create=True).add_new(offset, "LO", value)
    for keyword, items in sequences.items():
        setattr(dataset, keyword, items)
        dataset[keyword].is_undefined_length = len(items) % 2 == 0
    return dataset


def selection(patterns=PATTERNS):
    some = st.lists(st.sampled_from(patterns), min_size=1, max_size=3)
    return {"TagPatterns": some, "ExceptTagPatterns": st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=1)}


def rule(fields, optional=()):
    return st.fixed_dictionaries(
        {key: value for key, value in fields.items() if key not in optional},
        optional={key: fields[key] for key in optional},
    )


REUSE = st.sampled_from(["Always", "SamePatient", "SameInstance"])
ADDITIONS = [
    {"Tag": "PatientComments", "VR": "LT", "Value": "added"},
    {"Tag": "StudyDate", "VR": "DA", "Value": "20000101"},
    {"Tag": "StudyDescription", "VR": "LO", "Value": "new", "OverwriteIfExists": True},
    {"Tag": "ReferencedImageSequence[1].PatientID", "VR": "LO", "Value": "second"},
    {"Tag": "ContentSequence.StudyDescription", "VR": "LO", "Value": "each", "OverwriteIfExists": True},
    {"Tag": "RequestAttributesSequence.ContentSequence[0].Rows", "VR": "US", "Value": 7},
]


def entries():
    excepted = ("ExceptTagPatterns",)
    return st.fixed_dictionaries(
        {"Scope": st.just({"Labels": "ALL"})},
        optional={
            "ShiftDateTime": st.lists(
                rule({**selection(), "ShiftBy": st.just(100), "ReuseMapping": REUSE}, excepted), max_size=2
            ),
            "RandomizeText": st.lists(rule({**selection(TEXT_PATTERNS), "ReuseMapping": REUSE}, excepted), max_size=2),
            "RandomizeUID": st.lists(rule(selection(), excepted), max_size=1),
            "AddTags": st.lists(st.sampled_from(ADDITIONS), max_size=3),
            "DeleteTags": st.lists(
                rule({**selection(), "Action": st.sampled_from(["Remove", "Empty"])}, excepted), max_size=3
            ),
        },
    )


SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def file_of(dataset: Dataset, syntax) -> bytes:
    dataset.SOPInstanceUID, dataset.SOPClassUID = "1.2.3.99", "1.2.840.10008.5.1.4.1.1.2"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    implicit, little = syntax.is_implicit_VR, syntax.is_little_endian
    file = FileDataset(
        "", dataset, file_meta=meta, preamble=bytes(128), is_implicit_VR=implicit, is_little_endian=little
    )
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def flat(dataset: Dataset) -> list:
    return [
        (f"{element.tag:08X}", element.VR, [flat(item) for item in element.value])
        if element.VR == "SQ"
        else (f"{element.tag:08X}", element.VR, "" if element.is_empty else str(element.value))
        for element in dataset
    ]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(datasets(), datasets(), entries(), st.lists(st.sampled_from(SYNTAXES), min_size=3, max_size=3))
def test_the_plan_gives_what_the_naive_interpreter_gives(first, second, entry, syntaxes):
    rules = load_rules(
        yaml.safe_dump({"Labels": [], "ScopeToForward": {"Labels": "ALL"}, "Transformations": [entry]}, sort_keys=False)
    )
    mappings = MemoryMappings()
    engine = Deidentifier(rules, mappings)
    # What the engine remembers of one instance has to be right for the next.
    for dataset, syntax in zip((first, second, first), syntaxes, strict=True):
        data = file_of(dataset, syntax)
        outcome = engine.deidentify(data)
        expected = Reference(entry, mappings).apply(pydicom.dcmread(io.BytesIO(data)))
        assert flat(pydicom.dcmread(io.BytesIO(outcome.data))) == flat(expected)
        anew = Deidentifier(rules, mappings).deidentify(data)
        assert anew.data == outcome.data
        assert anew.report == outcome.report


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_without_rules_every_element_comes_out_byte_for_byte(syntax):
    data = file_of(make({"PatientName": "Doe^Jane"}, {("MAKER ONE", 1): "x"}, {"ContentSequence": [Dataset()]}), syntax)
    rules = load_rules("Labels: []\nScopeToForward: {Labels: ALL}\nTransformations: []\n")
    result = Deidentifier(rules, MemoryMappings()).deidentify(data).data
    body = data[132 + 12 + int.from_bytes(data[140:144], "little") :]
    if syntax != DeflatedExplicitVRLittleEndian:
        assert result.endswith(body)
    assert flat(pydicom.dcmread(io.BytesIO(result))) == flat(pydicom.dcmread(io.BytesIO(data)))
