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
from common.settings import load
from deidentifier.__main__ import main
from deidentifier.builder import DeidentifierBuilder
from deidentifier.offline.explain import explain
from deidentifier.rules_file import load_rules
from deidentifier.settings import OfflineSettings
from tests.helpers.ner_models import ruled

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


def explained(rules, data, **settings):
    environ = {f"RPACS_{name.upper()}": str(value) for name, value in settings.items()}
    return explain(DeidentifierBuilder(load(OfflineSettings, environ)), load_rules(rules), data)


def changed(**values):
    dataset = pydicom.dcmread(CT)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def lines():
    explanation = explained(RULES, CT.read_bytes())
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
    explanation = explained(RULES, buffer.getvalue())
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
    explanation = explained(RULES.replace(old, new), CT.read_bytes())
    assert explanation.scope == scope
    assert explanation.lines == ()


def test_a_file_that_is_no_dicom_is_an_error():
    with pytest.raises(InvalidDicomError):
        explained(RULES, b"text " * 100)


@pytest.fixture
def command(root, tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES)

    def start(*arguments, **environ):
        words = [sys.executable, "-m", "deidentifier", "explain", "--rules", tmp_path / "rules.yaml", *arguments]
        return subprocess.run(
            [str(word) for word in words],
            cwd=root,
            env={"PATH": os.environ["PATH"], **environ},
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
    rules = (
        "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n- Scope: {Labels: ALL}\n  Profile: Basic\n"
        "  RandomizeText: [{TagPatterns: PatientID, ReuseMapping: Always}]\n"
    )
    with open(get_testdata_file("CT_small.dcm"), "rb") as file:
        explanation = explained(rules, file.read())
    assert explanation.rules[0] == "Profile:5: the Basic Profile with no options; rules come before it."
    lines = {line.path: f"{line.outcome}: {line.why}" for line in explanation.lines}
    assert lines["PatientID"] == "changed: RandomizeText:6; replaces the profile's action: emptied"
    assert lines["StationName"] == "removed: Profile:5 (removed)"
    assert lines["Rows"] == "kept: the profile leaves it as it is, and no rule names it"
    assert lines["ReferringPhysicianName"] == "kept: it is empty"
    assert lines["PatientIdentityRemoved"] == "added: Profile:5"


PROFILE = "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n- Scope: {Labels: ALL}\n  Profile: Basic\n"
CLEANED = PROFILE + "  Options: [CleanDescriptors, RetainSafePrivate]\n"
DESCRIPTION = "CT chest for Dr. Henry Long xyzzyscan 030-1234-5678"


def test_a_text_says_how_many_words_stay_and_why_others_go(tmp_path):
    (tmp_path / "words.txt").write_text("xyzzyscan")
    data = changed(StudyDescription=DESCRIPTION, SeriesDescription="CT chest", StationName="")
    settings = {"vocabulary_file": tmp_path / "words.txt", "ner_model": ruled(tmp_path / "model")}
    for given, words in (
        ({}, "5 of 8 words stay; gone: 3 not in the vocabulary"),
        (settings, "5 of 8 words stay; gone: 2 not in the vocabulary, 1 named entity (PERSON)"),
    ):
        explanation = explained(CLEANED, data, **given)
        lines = {line.path: line for line in explanation.lines}
        assert str(lines["StudyDescription"]) == f"StudyDescription LO: changed: Profile:5 (cleaned); {words}"
        assert str(lines["SeriesDescription"]).endswith("LO: kept: Profile:5 (cleaned); 2 of 2 words stay")
        assert lines["Rows"].words == ()
        assert "Henry" not in repr(explanation)
        assert [word.text for word in lines["StudyDescription"].words if word.kept][:3] == ["CT", "chest", "for"]


def test_a_technical_text_says_what_looks_like_an_identifier():
    data = changed(SoftwareVersions="VB 15", ConvolutionKernel="B30 471108 quux")
    lines = {line.path: str(line) for line in explained(CLEANED, data).lines}
    assert lines["SoftwareVersions"].endswith("kept: Profile:5 (cleaned)")
    words = "1 of 3 words stays" if False else "1 of 3 words stay"
    assert lines["ConvolutionKernel"].endswith(
        f"changed: Profile:5 (cleaned); {words}; gone: 1 looks like an identifier, 1 not in the vocabulary"
    )


def test_a_rule_that_leaves_a_text_leaves_it_to_be_cleaned():
    rule = "  ShiftDateTime: [{TagPatterns: StudyDescription, ShiftBy: 5}]\n"
    lines = {line.path: str(line) for line in explained(CLEANED + rule, changed(StudyDescription="CT Weber")).lines}
    assert "1 of 2 words stay; gone: 1 not in the vocabulary" in lines["StudyDescription"]
    rule = "  RandomizeText: [{TagPatterns: StudyDescription}]\n"
    lines = {line.path: str(line) for line in explained(CLEANED + rule, changed(StudyDescription="CT Weber")).lines}
    assert "words" not in lines["StudyDescription"]


def test_private_elements_are_kept_that_the_site_trusts():
    dataset = pydicom.dcmread(CT)
    dataset.private_block(0x0099, "ACME", create=True).add_new(0x01, "LO", "T1 4711")
    item = pydicom.Dataset()
    item.PrivateGroupReference, item.PrivateCreatorReference = 0x0099, "ACME"
    item.BlockIdentifyingInformationStatus = "SAFE"
    dataset.PrivateDataElementCharacteristicsSequence = [item]
    dataset.save_as(buffer := io.BytesIO())
    for trusted, outcome in (("no", "removed"), ("yes", "kept")):
        explanation = explained(CLEANED, buffer.getvalue(), trust_private_characteristics=trusted)
        assert {line.path: line.outcome for line in explanation.lines}["00991001"] == outcome


@pytest.mark.parametrize(
    ("policy", "follows"),
    [
        ("", "The result is quarantined, for it holds identifying values of the original:"),
        ("OnLeak: Redact\n", "The result holds identifying values of the original; those elements are emptied:"),
        ("OnLeak: Report\n", "The result holds identifying values of the original; it is sent on, and reported:"),
    ],
)
def test_what_the_check_of_the_result_finds_is_told(policy, follows):
    # Without CleanDescriptors a text that the table of the profile does not name stays.
    data = changed(PatientName="Testperson^Ruth", ConvolutionKernel="for Testperson")
    explanation = explained(policy + PROFILE, data)
    assert explanation.leaks[0] == follows
    assert explanation.leaks[1].startswith("ConvolutionKernel: name, left there by ")
    assert "Testperson" not in repr(explanation)
    assert {line.path: line.outcome for line in explanation.lines}["ConvolutionKernel"] == "kept"


def test_words_are_shown_to_who_asks(command, tmp_path):
    (tmp_path / "rules.yaml").write_text(CLEANED)
    (tmp_path / "in.dcm").write_bytes(changed(StudyDescription=DESCRIPTION))
    environ = {"RPACS_NER_MODEL": str(ruled(tmp_path / "model"))}
    plain, shown = command(tmp_path / "in.dcm", **environ), command(tmp_path / "in.dcm", "--show-values", **environ)
    assert plain.returncode == shown.returncode == 0
    assert "1 named entity (PERSON)" in plain.stdout
    assert not {"Henry", "Long", "xyzzyscan", "030"} & {*plain.stdout.replace("'", " ").split()}
    assert "    'chest' stays: in the vocabulary\n    'for' stays: in the vocabulary\n" in shown.stdout
    assert "    'Long' goes: named entity (PERSON)\n" in shown.stdout
    assert "    '030-1234-5678' goes: not in the vocabulary\n" in shown.stdout


def test_settings_that_cannot_be_used_are_told(command):
    for name in ("RPACS_NER_MODEL", "RPACS_VOCABULARY_FILE"):
        done = command(CT, **{name: "/nowhere/absent"})
        assert done.returncode == 2
        assert done.stderr.startswith(f"{name}: ")


def test_the_workers_mappings_are_used_and_none_is_kept(ingest_database, tmp_path, monkeypatch, capsys):
    rules = (
        PROFILE
        + "  RandomizeText: [{TagPatterns: PatientID, ReuseMapping: Always, Project: A, OnlyPredefined: true}]\n"
    )
    (tmp_path / "rules.yaml").write_text(rules)
    command = ["explain", "--rules", str(tmp_path / "rules.yaml"), str(CT)]
    for name, value in ingest_database.environ("rpacs_deidentifier").items():
        monkeypatch.setenv(name, value)

    def stored():
        with ingest_database.owner.transaction() as cursor:
            cursor.execute(
                "SELECT (SELECT count(*) FROM ingest.mappings), (SELECT count(*) FROM ingest.mapping_secret)"
            )
            return cursor.fetchone()

    assert main(command) == 1
    assert "no predefined code" in capsys.readouterr().err
    (tmp_path / "codes.csv").write_text(f"PatientID,SubjectCode,Project\n{pydicom.dcmread(CT).PatientID},A-001,A\n")
    assert main(["import-pseudonyms", str(tmp_path / "codes.csv")]) == 0
    before = stored()
    assert main(command) == 0
    assert "PatientID LO: changed: RandomizeText:6" in capsys.readouterr().out
    assert stored() == before
