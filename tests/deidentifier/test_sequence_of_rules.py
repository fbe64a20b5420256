"""What several rules mean together, through bytes; and the defects of version 1.0, which are not to come back."""

import io

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.rules_file import load_rules

FRAME = "Labels: []\nScopeToForward: {Labels: ALL}\nTransformations:\n- Scope: {Labels: ALL}\n"


def to_bytes(dataset):
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.3"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def apply(text, dataset, mappings=None):
    """De-identify by the transformations in ``text`` (or by a whole file of rules) and read the result."""
    rules = text if text.startswith("Labels") else FRAME + "".join(f"  {line}\n" for line in text.splitlines())
    outcome = Deidentifier(load_rules(rules), mappings or MemoryMappings()).deidentify(to_bytes(dataset))
    return pydicom.dcmread(io.BytesIO(outcome.data))


@pytest.fixture
def dataset():
    dataset = Dataset()
    dataset.PatientName = "Doe^John"
    dataset.PatientID = "P1"
    dataset.StudyDate = "20200131"
    dataset.StudyTime = "101112"
    return dataset


def test_delete_tags_sees_what_add_tags_added(dataset):
    result = apply(
        "DeleteTags: [{TagPatterns: 'Patient*', Action: Remove}]\n"
        "AddTags: [{Tag: PatientComments, VR: LT, Value: x}, {Tag: StudyComments, VR: LT, Value: y}]",
        dataset,
    )
    assert "PatientComments" not in result
    assert "PatientID" not in result
    assert result.StudyComments == "y"


def test_random_text_receives_what_the_shift_left(dataset):
    shift = "ShiftDateTime: [{TagPatterns: StudyDate, ShiftBy: 5, ReuseMapping: Always, PreserveIntervals: true}]"
    text = "RandomizeText: [{TagPatterns: StudyDate, ReuseMapping: Always}]"
    mappings = MemoryMappings()
    shifted = apply(shift, dataset, mappings).StudyDate
    both = apply(f"{text}\n{shift}", dataset, mappings).StudyDate
    dataset.StudyDate = shifted
    assert apply(text, dataset, mappings).StudyDate == both


def test_a_text_that_was_overwritten_is_replaced_like_any(dataset):
    mappings = MemoryMappings()
    text = (
        "AddTags: [{Tag: PatientID, VR: LO, Value: X, OverwriteIfExists: true}]\n"
        "DeleteTags: [{TagPatterns: PatientName, Action: Empty}]"
    )
    result = apply(text, dataset, mappings)
    assert (result.PatientID, result.PatientName) == ("X", "")


def test_an_element_that_exists_is_overwritten_only_if_asked(dataset):
    result = apply(
        "AddTags: [{Tag: PatientID, VR: LO, Value: X}, {Tag: StudyTime, VR: TM, Value: '12', OverwriteIfExists: yes}]",
        dataset,
    )
    assert (result.PatientID, result.StudyTime) == ("P1", "12")


def test_elements_are_added_in_every_addressed_item(dataset):
    dataset.ReferencedImageSequence = Sequence([Dataset(), Dataset()])
    result = apply(
        "AddTags:\n"
        "- {Tag: ReferencedImageSequence.PatientID, VR: LO, Value: all}\n"
        "- {Tag: 'ReferencedImageSequence[1].PatientComments', VR: LT, Value: second}\n"
        "- {Tag: 'ReferencedImageSequence[%].StudyComments', VR: LT, Value: [every]}",
        dataset,
    )
    items = result.ReferencedImageSequence
    assert [item.PatientID for item in items] == ["all", "all"]
    assert [item.get("PatientComments") for item in items] == [None, "second"]
    assert [item.StudyComments for item in items] == ["every", "every"]


def test_entries_are_joined_in_file_order_and_the_last_transcode_wins(dataset):
    dataset.Modality = "CT"
    result = apply(
        "Labels: [{Name: CT, DICOMQueryFilter: Modality StrEquals CT}]\n"
        "ScopeToForward: {Labels: ALL}\n"
        "Transformations:\n"
        "- Scope: {Labels: CT}\n"
        "  AddTags: [{Tag: PatientID, VR: LO, Value: first, OverwriteIfExists: true}]\n"
        "  Transcode: 1.2.840.10008.1.2.1.99\n"
        "- Scope: {Labels: ALL}\n"
        "  AddTags: [{Tag: PatientID, VR: LO, Value: second, OverwriteIfExists: true}]\n"
        "  Transcode: 1.2.840.10008.1.2\n",
        dataset,
    )
    assert result.PatientID == "second"
    assert result.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2"


def test_labels_read_the_original(dataset):
    dataset.Modality = "CT"
    result = apply(
        "Labels: [{Name: CT, DICOMQueryFilter: Modality StrEquals CT}]\n"
        "ScopeToForward: {Labels: CT}\n"
        "Transformations:\n"
        "- Scope: {Labels: ALL}\n"
        "  AddTags: [{Tag: Modality, VR: CS, Value: MR, OverwriteIfExists: true}]\n"
        "- Scope: {Labels: CT}\n"
        "  DeleteTags: [{TagPatterns: PatientName, Action: Remove}]\n",
        dataset,
    )
    assert result.Modality == "MR"
    assert "PatientName" not in result


PRIVATE = (
    (0x00290010, "LO", "A"), (0x00290011, "LO", "B"), (0x00291001, "LO", "a1"), (0x00291002, "LO", "a2"),
    (0x00291101, "LO", "b1"), (0x00310010, "LO", "A"), (0x00311001, "LO", "a31"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("exceptions", "kept"),
    [
        ("[]", set()),
        ("['0029{A}XX']", {0x00290010, 0x00291001, 0x00291002}),
        ("['0029{A}02']", {0x00290010, 0x00291002}),
        ("['XXX@{A}01']", {0x00290010, 0x00291001, 0x00310010, 0x00311001}),
        ("['0029{B}XX', 0031XXXX]", {0x00290011, 0x00291101, 0x00310010, 0x00311001}),
    ],
)
def test_private_creators_stay_with_their_elements_and_go_with_the_last(dataset, exceptions, kept):
    for tag, vr, value in PRIVATE:
        dataset.add_new(tag, vr, value)
    more = f", ExceptTagPatterns: {exceptions}" if exceptions != "[]" else ""
    result = apply(f"DeleteTags: [{{TagPatterns: XXX@XXXX, Action: Remove{more}}}]", dataset)
    assert {int(element.tag) for element in result if element.tag.is_private} == kept


@pytest.mark.parametrize("reuse", ["", ", ReuseMapping: Always", ", ReuseMapping: SamePatient"])
def test_the_same_instance_gives_the_same_bytes_again(dataset, reuse):
    text = FRAME + (
        f"  ShiftDateTime: [{{TagPatterns: ['*/{{DA}}', '*/{{TM}}'], ShiftBy: 90000{reuse}}}]\n"
        f"  RandomizeText: [{{TagPatterns: '*/{{PN}}'{reuse}}}, {{TagPatterns: PatientID{reuse}}}]\n"
        "  RandomizeUID: [{TagPatterns: '*/{UI}'}]\n"
    )
    mappings, data = MemoryMappings(), to_bytes(dataset)
    results = {Deidentifier(load_rules(text), mappings).deidentify(data).data for _ in range(3)}
    assert len(results) == 1
    assert b"Doe" not in results.pop()


# --- the defects of version 1.0 ---------------------------------------------------------------------------------


def test_split_splits(dataset):
    dataset.PatientName = "Doe^John^^Dr"
    dataset.OtherPatientNames = "Doe^Jane"
    result = apply("RandomizeText: [{TagPatterns: '{PN}', Split: '^', ReuseMapping: Always}]", dataset)
    parts = str(result.PatientName).split("^")
    assert [len(part) for part in parts] == [8, 8, 0, 8]
    assert str(result.OtherPatientNames).split("^")[0] == parts[0]
    assert str(result.OtherPatientNames).split("^")[1] != parts[1]


def test_sequences_can_be_deleted(dataset):
    dataset.RequestAttributesSequence = Sequence([dataset_of(ScheduledProcedureStepID="1")])
    dataset.ReferencedImageSequence = Sequence([dataset_of(RequestAttributesSequence=Sequence([Dataset()]))])
    result = apply("DeleteTags: [{TagPatterns: '*/RequestAttributesSequence', Action: Remove}]", dataset)
    assert "RequestAttributesSequence" not in result
    assert "RequestAttributesSequence" not in result.ReferencedImageSequence[0]


def dataset_of(**elements):
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    "value", ["2020", "202001", "20200131", "2020013110", "20200131101112", "20200131101112.123456+0100"]
)
def test_a_date_time_keeps_its_precision_and_zone(dataset, value):
    dataset.AcquisitionDateTime = value
    text = "ShiftDateTime: [{TagPatterns: '{DT}', ShiftBy: 40000000, ReuseMapping: Always}]"
    result = apply(text, dataset).AcquisitionDateTime
    assert len(str(result)) == len(value)
    assert str(result)[14:] == value[14:]
    assert pydicom.valuerep.DT(str(result)) is not None


@pytest.mark.parametrize("value", ["20201331", "yesterday", "2020-01-31"])
def test_a_date_that_is_none_is_emptied_not_passed_through(dataset, value):
    del dataset.StudyDate  # pydicom's element remembers to validate
    with pydicom.config.disable_value_validation():
        dataset.StudyDate = value
        data = to_bytes(dataset)
    rules = load_rules(FRAME + "  ShiftDateTime: [{TagPatterns: StudyDate, ShiftBy: 5}]\n")
    outcome = Deidentifier(rules, MemoryMappings()).deidentify(data)
    assert pydicom.dcmread(io.BytesIO(outcome.data)).StudyDate == ""
    assert [finding.path for finding in outcome.report if finding.outcome == "emptied"] == ["StudyDate"]
