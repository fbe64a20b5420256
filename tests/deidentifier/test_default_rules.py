"""The rules that come with the product: held to table E.1-1 of PS3.15, and tried on real files."""

import csv
import io
import re

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from deidentifier.deidentify import Deidentifier
from deidentifier.mappings import MemoryMappings
from deidentifier.rules_file import load_rules
from deidentifier.settings import DEFAULT_RULES

# What stays although the Basic Profile takes it away, and why.
KEPT = {
    "PatientSex": "patient characteristics",
    "PatientAge": "patient characteristics; from 90 on it is emptied",
    "PatientSize": "patient characteristics",
    "PatientWeight": "patient characteristics",
}
# Sequences that stay, as rules for every depth clean what they hold.
KEPT_SEQUENCES = {
    "ReferencedStudySequence",
    "ReferencedPerformedProcedureStepSequence",
    "ReferencedImageSequence",
    "SourceImageSequence",
    "AcquisitionContextSequence",
    "SpecimenPreparationSequence",
    "VerifyingObserverSequence",
    "ContentSequence",
    "PrescriptionNotesSequence",
}
CONTAINER = "SourceImageSequence"

MARKS = {
    "AE": "MARKEDAE", "AS": "077Y", "CS": "MARKEDCS", "DA": "19770304", "DS": "7.654321", "DT": "19770304112233",
    "IS": "7654321", "LO": "Marked LO", "LT": "Marked LT", "OB": b"Marked OB!", "PN": "Marked^Name", "SH": "Marked SH",
    "ST": "Marked ST", "TM": "112233", "UC": "Marked UC", "UI": "1.3.6.1.4.1.7.7.7", "UN": b"Marked UN!",
    "UR": "http://marked", "US": 54321, "UT": "Marked UT",
}  # fmt: skip


@pytest.fixture(scope="module")
def deidentifier():
    return Deidentifier(load_rules(DEFAULT_RULES.read_bytes()), MemoryMappings())


@pytest.fixture(scope="module")
def table(root):
    """Return the keywords of table E.1-1 that are in the dictionary, with their VR."""
    with open(root / "deidentifier" / "profiles" / "confidentiality.csv") as file:
        lines = [line for line in file if not line.startswith("#")]
    tags = [row["Tag"] for row in csv.DictReader(lines)]
    known = [int(tag, 16) for tag in tags if re.fullmatch("[0-9A-Fa-f]{8}", tag)]
    return {
        keyword_for_tag(tag): dictionary_VR(tag) for tag in known if keyword_for_tag(tag) and tag >> 16 not in (0, 2, 4)
    }


def to_bytes(dataset):
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.SOPClassUID = CTImageStorage
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def marked(table):
    """Return a data set with every attribute of the table, each with a marked value."""
    dataset = Dataset()
    for keyword, vr in table.items():
        if vr == "SQ":
            item = Dataset()
            item.CodeValue = "MARKED-SQ"
            setattr(dataset, keyword, Sequence([item]))
        elif keyword != "EncapsulatedDocument":  # such a file is not sent on at all
            setattr(dataset, keyword, MARKS[vr])
    return dataset


def survivors(result, table):
    """Yield the attributes whose marked value is still there."""
    for keyword, vr in table.items():
        if keyword in result:
            element = result[keyword]
            if vr == "SQ":
                yield from [keyword] if len(element.value) and "CodeValue" in element.value[0] else []
            elif element.value == MARKS[vr]:
                yield keyword


def test_every_attribute_of_the_basic_profile_is_handled_at_every_depth(deidentifier, table):
    assert len(table) > 550
    top, inner = marked(table), marked(table)
    setattr(inner, CONTAINER, Sequence([]))
    setattr(top, CONTAINER, Sequence([inner]))
    result = pydicom.dcmread(io.BytesIO(deidentifier.deidentify(to_bytes(top)).data))
    allowed = {keyword for keyword, vr in table.items() if vr == "TM"} | set(KEPT) | KEPT_SEQUENCES
    for dataset, more in ((result, set()), (result[CONTAINER].value[0], {"PatientAge"})):
        left = set(survivors(dataset, table))
        assert left - allowed == set()
        assert not left & more


def test_what_stays_on_purpose_does_stay(deidentifier, table):
    result = pydicom.dcmread(io.BytesIO(deidentifier.deidentify(to_bytes(marked(table))).data))
    assert set(survivors(result, table)) >= set(KEPT) | KEPT_SEQUENCES


@pytest.mark.parametrize(
    ("age", "kept"), [("089Y", True), ("090Y", False), ("101Y", False), ("90Y", False), ("011M", True)]
)
def test_ages_from_90_on_go(deidentifier, age, kept):
    dataset = Dataset()
    dataset.SOPInstanceUID = "1.2.3"
    with pydicom.config.disable_value_validation():
        dataset.PatientAge = age
    result = pydicom.dcmread(io.BytesIO(deidentifier.deidentify(to_bytes(dataset)).data))
    assert (result.PatientAge == age) is kept


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("Modality", "US"),
        ("BurnedInAnnotation", "YES"),
        ("ImageType", ["DERIVED", "SECONDARY", "SCREEN SAVE"]),
        ("ConversionType", "WSD"),
        ("EncapsulatedDocument", b"%PDF"),
    ],
)
def test_what_shows_its_text_is_not_sent_on(deidentifier, keyword, value):
    dataset = Dataset()
    dataset.SOPInstanceUID = "1.2.3"
    setattr(dataset, keyword, value)
    assert deidentifier.deidentify(to_bytes(dataset)).state == "discarded"


def test_dates_of_a_patient_move_together_and_times_stay(deidentifier):
    def study(day):
        dataset = Dataset()
        dataset.SOPInstanceUID = f"1.2.3.{day}"
        dataset.PatientID = "P77"
        dataset.StudyDate = f"202001{day:02}"
        dataset.AcquisitionDateTime = f"202001{day:02}101112"
        dataset.StudyTime = "101112"
        return pydicom.dcmread(io.BytesIO(deidentifier.deidentify(to_bytes(dataset)).data))

    first, second = study(3), study(10)
    assert first.StudyDate != "20200103"
    days = pydicom.valuerep.DA(second.StudyDate) - pydicom.valuerep.DA(first.StudyDate)
    assert days.days == 7
    assert first.AcquisitionDateTime == f"{first.StudyDate}101112"
    assert first.StudyTime == "101112"
    assert first.PatientID == second.PatientID != "P77"


def identifiers(dataset):
    """Yield the values of a file that name a person, a place or a number of theirs, at every depth."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from identifiers(item)
        elif element.VR == "PN" or element.keyword in {
            "PatientID", "AccessionNumber", "InstitutionName", "InstitutionAddress", "StationName", "StudyInstanceUID",
            "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID", "DeviceSerialNumber", "OtherPatientIDs",
            "PatientAddress", "PatientBirthDate", "StudyID", "StudyDescription", "PatientComments", "ImageComments",
        }:  # fmt: skip
            values = element.value if element.VM > 1 else [element.value]
            for value in values:
                text = str(value).strip()
                if len(text) >= 6 and len(set(text)) > 2:
                    yield text


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "rtstruct.dcm", "reportsi.dcm", "test-SR.dcm", "JPEG2000.dcm",
     "image_dfl.dcm", "ExplVR_BigEnd.dcm", "waveform_ecg.dcm", "liver.dcm", "nested_priv_SQ.dcm"],
)  # fmt: skip
def test_no_identifier_of_a_sample_file_survives(deidentifier, name):
    with open(get_testdata_file(name), "rb") as file:
        data = file.read()
    original = pydicom.dcmread(io.BytesIO(data), force=True)
    outcome = deidentifier.deidentify(data)
    if outcome.state == "discarded":
        return
    result = pydicom.dcmread(io.BytesIO(outcome.data))
    if "PixelData" in result:
        del result.PixelData
    left = "\n".join(f"{element.keyword} {element.value}" for element in result.iterall())
    technical = str(original.get("Manufacturer"))  # some hospitals in the samples are called as their scanner
    assert [text for text in set(identifiers(original)) if text in left and text not in technical] == []
    assert not any(element.tag.is_private for element in result.iterall())
