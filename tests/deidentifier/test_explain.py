"""``python -m deidentifier explain``."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from common.errors import InvalidDicomError
from deidentifier.offline.explain import explain
from deidentifier.rules_file import load_rules

CT = Path(get_testdata_file("CT_small.dcm"))

RULES = """\
Labels:
- {Name: CT, DICOMQueryFilter: Modality StrEquals CT}
- {Name: MR, DICOMQueryFilter: Modality StrEquals MR}
ScopeToForward: {Labels: CT, ExceptLabels: MR}
Transformations:
- Scope: {Labels: CT}
  ShiftDateTime:
  - {TagPatterns: "Study*", ShiftBy: 36500}
  RandomizeUID:
  - {TagPatterns: "*/{UI}"}
  AddTags:
  - {Tag: PatientComments, VR: LT, Value: x}
  DeleteTags:
  - {TagPatterns: OtherPatientIDsSequence, Action: Remove}
  - {TagPatterns: "*/{LO}", Action: Empty}
  - {TagPatterns: "*/XXX@XXXX", Action: Remove}
- Scope: {Labels: MR}
  DeleteTags:
  - {TagPatterns: "*", Action: Remove}
"""


@pytest.fixture(scope="module")
def lines():
    explanation = explain(load_rules(RULES), CT.read_bytes(), max_inflated=1 << 30)
    assert explanation.labels == ("ALL", "CT")
    assert explanation.scope == "in scope, it is sent on: included by CT"
    assert [sentence.split(": ")[0] for sentence in explanation.rules] == [
        "ShiftDateTime:8", "RandomizeUID:10", "AddTags:12", "DeleteTags:14", "DeleteTags:15", "DeleteTags:16",
    ]  # fmt: skip
    return {line.path: line for line in explanation.lines}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("StudyDate", "StudyDate DA: changed: ShiftDateTime:8"),
        ("StudyInstanceUID", "StudyInstanceUID UI: changed: RandomizeUID:10; also named by ShiftDateTime:8"),
        ("SOPClassUID", "SOPClassUID UI: kept: named by RandomizeUID:10, which leaves it as it is"),
        ("PatientComments", "PatientComments LT: added: AddTags:12"),
        ("OtherPatientIDsSequence", "OtherPatientIDsSequence SQ: removed: DeleteTags:14"),
        ("InstitutionName", "InstitutionName LO: emptied: DeleteTags:15"),
        ("Rows", "Rows US: kept: no rule names it"),
        ("PixelData", "PixelData OW: kept: no rule names it"),
    ],
)
def test_every_element_says_what_decides(lines, path, text):
    assert str(lines[path]).startswith(text)


def test_every_element_of_the_file_has_its_line(lines):
    dataset = pydicom.dcmread(CT)
    assert {element.keyword for element in dataset if element.keyword} <= set(lines)
    assert not any(path.startswith("OtherPatientIDsSequence[") for path in lines)
    private = [line for path, line in lines.items() if len(path) == 8 and path[3] in "13579BDF"]
    assert len(private) > 50
    assert {line.outcome for line in private} == {"removed"}


def test_elements_inside_sequences_have_theirs():
    dataset = pydicom.dcmread(CT)
    item = pydicom.Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    item.Rows = 5
    dataset.ReferencedImageSequence = [item, item]
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    explanation = explain(load_rules(RULES), buffer.getvalue(), max_inflated=1 << 30)
    lines = {line.path: str(line) for line in explanation.lines}
    assert lines["ReferencedImageSequence[1].ReferencedSOPInstanceUID"].endswith("UI: changed: RandomizeUID:10")
    assert lines["ReferencedImageSequence[0].Rows"].endswith("kept: no rule names it")


@pytest.mark.parametrize(
    ("old", "new", "scope"),
    [
        ("Modality StrEquals MR", "Modality StrEquals CT", "out of scope, it is discarded: excluded by MR"),
        (
            "Modality StrEquals CT",
            "Modality StrEquals XA",
            "out of scope, it is discarded: none of its labels is included",
        ),
    ],
)
def test_what_is_discarded_says_why(old, new, scope):
    explanation = explain(load_rules(RULES.replace(old, new)), CT.read_bytes(), max_inflated=1 << 30)
    assert explanation.scope == scope
    assert explanation.lines == ()


def test_a_file_that_is_no_dicom_is_an_error():
    with pytest.raises(InvalidDicomError):
        explain(load_rules(RULES), b"text " * 100, max_inflated=1 << 30)


@pytest.fixture
def command(root, tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES)

    def start(*arguments):
        words = [sys.executable, "-m", "deidentifier", "explain", "--rules", tmp_path / "rules.yaml", *arguments]
        return subprocess.run(
            [str(word) for word in words],
            cwd=root,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return start


def test_the_command_shows_no_value(command):
    done = command(CT)
    assert done.returncode == 0
    assert "labels: ALL, CT\n" in done.stdout
    assert "  StudyDate DA: changed: ShiftDateTime:8\n" in done.stdout
    dataset = pydicom.dcmread(CT)
    for keyword in ("PatientName", "InstitutionName", "StudyInstanceUID", "StudyDate", "SeriesInstanceUID"):
        assert str(dataset[keyword].value) not in done.stdout


def test_exit_codes(command, tmp_path):
    assert command(tmp_path / "absent").returncode == 2
    assert command().returncode == 2
    (tmp_path / "bad").write_bytes(b"text " * 100)
    done = command(tmp_path / "bad")
    assert done.returncode == 1
    assert done.stderr.startswith("InvalidDicom: ")


def test_the_profile_is_shown_with_what_replaces_it():
    rules = load_rules(
        "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n- Scope: {Labels: ALL}\n  Profile: Basic\n"
        "  RandomizeText: [{TagPatterns: PatientID, ReuseMapping: Always}]\n"
    )
    with open(get_testdata_file("CT_small.dcm"), "rb") as file:
        explanation = explain(rules, file.read(), max_inflated=1 << 30)
    assert explanation.rules[0] == "Profile:5: the Basic Profile with no options; rules come before it."
    lines = {line.path: f"{line.outcome}: {line.why}" for line in explanation.lines}
    assert lines["PatientID"] == "changed: RandomizeText:6; replaces the profile's action: emptied"
    assert lines["StationName"] == "removed: Profile:5 (removed)"
    assert lines["Rows"] == "kept: the profile leaves it as it is, and no rule names it"
    assert lines["ReferringPhysicianName"] == "kept: it is empty"
    assert lines["PatientIdentityRemoved"] == "added: Profile:5"
